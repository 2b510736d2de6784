"""The decisions of a look, from the rows of its period."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from shared.contract.tables import first, timestamp
from shared.learning.judging.live_rejects import RejectSums, own_reject_sql
from shared.learning.probation.bands import Seen
from shared.ports.tables import Queries
from shared.scoring.rules import Rules

_COLUMNS = (
    *("end_to_end_id", "side", "initiated_at", "scored_at", "published_at", "score", "decision", "policy_decision"),
    *("reasons", "model_version", "arm"),
)
_POLICY = "COALESCE(policy_decision, decision)"


class ProbationRows(Struct, frozen=True):
    """The decisions in dataset `dataset` of `project`; by `rules` own rejects of a model are told from theirs."""

    queries: Queries
    project: str
    dataset: str
    rules: Rules

    def read(self, version: str, period: tuple[dt.datetime, dt.datetime], edges: Sequence[float]) -> Seen:
        """Return the decisions of a period, its scores by their bins. Raises Unavailable, Misconfigured."""
        return _seen(self.queries.rows(self.sql(version, period, edges), {}), len(edges))

    def sql(self, version: str, period: tuple[dt.datetime, dt.datetime], edges: Sequence[float]) -> str:
        """Return the query of first decisions by whether they are a version's, by bins of the score, and by side.

        Pix that a challenger decides for its arm are left out. A Pix is decided within a day of its start or hardly
        ever, so few partitions are read.
        """
        since, until = period
        bins = "".join(f"WHEN score <= {edge!r} THEN {number} " for number, edge in enumerate(edges))
        which = (
            f"initiated_at >= {timestamp(since - dt.timedelta(days=1))} AND initiated_at < {timestamp(until)} "
            f"AND scored_at >= {timestamp(since)} AND scored_at < {timestamp(until)}"
        )
        rows = first(self.project, self.dataset, timestamp(until), which, _COLUMNS)
        decided = (
            f"SELECT score, COALESCE(side, 'PAYER') AS side, {_POLICY} AS policy, "  # noqa: S608 (names of our own)
            f"COALESCE(model_version = '{version}', FALSE) AS own, {own_reject_sql(_POLICY, self.rules)} AS by_model "
            f"FROM ({rows}) AS first WHERE COALESCE(arm, 'CHAMPION') = 'CHAMPION'"
        )
        return (
            f"SELECT own, CASE WHEN score IS NULL THEN NULL {bins}ELSE {len(edges)} END AS bin, side, "  # noqa: S608 (names of our own)
            "COUNT(*) AS decided, COUNTIF(policy != 'APPROVE') AS alerts, COALESCE(SUM(1 - score), 0) AS good, "
            "COALESCE(SUM(IF(by_model, 1 - score, 0)), 0) AS good_rejected "
            f"FROM ({decided}) AS decided GROUP BY own, bin, side"
        )


def _seen(rows: Sequence[dict[str, Any]], edges: int) -> Seen:
    counts, rejects = [0] * (edges + 1), dict[str, RejectSums]()
    for row in (each for each in rows if each["own"]):
        if row["bin"] is not None:
            counts[row["bin"]] += row["decided"]
        sums = RejectSums(row["good"], row["good_rejected"])
        rejects[row["side"]] = rejects.get(row["side"], RejectSums()).plus(sums)
    decided = sum(row["decided"] for row in rows)
    own, alerts = (sum(row[name] for row in rows if row["own"]) for name in ("decided", "alerts"))
    return Seen(decided, own, alerts, counts, rejects)
