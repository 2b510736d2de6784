"""The counts of both arms of a test, from the rows of its stage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from shared.learning.judging.live_rejects import RejectSums, own_reject_sql
from shared.learning.lifecycle.guards import ArmCounts, Reading
from shared.learning.lifecycle.pointer import parse_time
from shared.ports.tables import Parameter, Queries
from shared.scoring.challenge import Challenge
from shared.scoring.rules import Rules

LOOK_BACK = dt.timedelta(hours=24)
"""Rows that a look reads, at most: those of one or two partitions."""
RECENT = dt.timedelta(minutes=10)
"""Rows that are also judged apart, as a fault of the tenth day is lost among those of nine good ones."""
_WAITED = dt.timedelta(hours=1)  # from the initiation of a Pix to its decision: an older one is not counted


class ArmRows(Struct, frozen=True):
    """The rows of tests in dataset `dataset` of `project`; by `rules` own rejects of a model are told from theirs."""

    queries: Queries
    project: str
    dataset: str
    rules: Rules

    def read(self, challenge: Challenge, slow_ms: int, now: dt.datetime) -> Reading:
        """Return the counts of the present stage, of LOOK_BACK at most. Raises Unavailable, Misconfigured.

        A row that stands twice, as it was delivered again, counts twice, in each arm alike.
        """
        since = max(parse_time(challenge.changed_at), now - LOOK_BACK)
        given: dict[str, Parameter] = {"since": since, "initiated": since - _WAITED, "recent": now - RECENT}
        given |= {"slow": slow_ms, "version": challenge.version}
        rows = self.queries.rows(counts_sql(self.project, self.dataset, self.rules), given)
        last = [row for row in rows if row["is_recent"]]
        return Reading(_by_arm(rows), _by_arm(last), _by_side(rows), _by_side(last))


def counts_sql(project: str, dataset: str, rules: Rules) -> str:
    """Return the query of the counts of each arm and side, apart for rows decided since @recent and before.

    `good` and `good_rejected` are sums over the Pix that the challenger scored, whoever decided.
    """
    return f"""SELECT
  arm,
  side,
  is_recent,
  COUNT(*) AS pix,
  COUNTIF(COALESCE(policy_decision, decision) IN ('HOLD', 'BLOCK')) AS held,
  COUNTIF(COALESCE(policy_decision, decision) = 'REJECT') AS rejected,
  COUNTIF(degraded) AS degraded,
  COUNTIF(score IS NOT NULL AND challenger_score IS NULL) AS unscored,
  COUNTIF(TIMESTAMP_DIFF(scored_at, published_at, MILLISECOND) > @slow) AS slow,
  COUNTIF(told.reported) AS reported,
  COUNTIF(told.contested) AS contested,
  COALESCE(SUM(1 - challenger_score), 0) AS good,
  COALESCE(SUM(IF(by_challenger, 1 - challenger_score, 0)), 0) AS good_rejected
FROM (
  SELECT
    end_to_end_id, arm, decision, policy_decision, degraded, score, challenger_score, scored_at, published_at,
    COALESCE(side, 'PAYER') AS side,
    scored_at >= @recent AS is_recent,
    {own_reject_sql("challenger_decision", rules)} AS by_challenger
  FROM `{project}.{dataset}.score_events`
  WHERE initiated_at >= @initiated AND scored_at >= @since AND challenger_version = @version
) AS decided
LEFT JOIN (
  SELECT
    end_to_end_id,
    LOGICAL_OR(source = 'MED') AS reported,
    LOGICAL_OR(source = 'CUSTOMER' AND status = 'CONTESTED') AS contested
  FROM `{project}.{dataset}.feedback`
  WHERE reported_at >= @since
  GROUP BY end_to_end_id
) AS told ON told.end_to_end_id = decided.end_to_end_id
GROUP BY arm, side, is_recent"""  # noqa: S608 (names of our own)


def _by_arm(rows: Sequence[dict[str, Any]]) -> dict[str, ArmCounts]:
    found = dict[str, ArmCounts]()
    for row in rows:
        counts = ArmCounts(*(row[name] for name in ArmCounts.__struct_fields__))
        found[row["arm"]] = found.get(row["arm"], ArmCounts()).plus(counts)
    return found


def _by_side(rows: Sequence[dict[str, Any]]) -> dict[str, RejectSums]:
    found = dict[str, RejectSums]()
    for row in rows:
        found[row["side"]] = found.get(row["side"], RejectSums()).plus(RejectSums(row["good"], row["good_rejected"]))
    return found
