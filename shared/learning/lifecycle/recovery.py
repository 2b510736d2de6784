"""The share of defrauded amounts that came back, measured, and its place in the bucket of models.

Of each settled fraud of hop 1, the larger of its returns and its refund counts, and the refunds of later hops of its
recovery; at most its amount. A refund counts if its report was published here, so the share is a lower bound.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.contract.tables import query
from shared.errors import Misconfigured
from shared.learning.config import Config
from shared.learning.specs.gate import SideCosts
from shared.ports.blobs import Blobs
from shared.ports.tables import Queries
from shared.scoring.signed_blobs import RECOVERY

FRAUDS_MIN = 100
"""Frauds from which a measured share is more than chance."""
DAYS_AFTER = 30
"""Days from the verdict until a fraud counts: a recovery of MED 2.0 ends within some 11 days, as the press says."""
AGE_MAX = dt.timedelta(days=180)
"""Age at which a measured share no longer counts."""
_Z = 1.96


class Recovery(Struct, frozen=True):
    """The measured share of `amount` BRL in `frauds` that came back, and its 95 % interval (ratio estimator)."""

    share: float
    low: float
    high: float
    frauds: int
    amount: float
    measured_at: dt.datetime

    @property
    def suffices(self) -> bool:
        """Return whether it rests on enough frauds."""
        return self.frauds >= FRAUDS_MIN


def measure(
    queries: Queries, project: str, dataset: str, maturity_days: float, since: dt.datetime, now: dt.datetime
) -> Recovery | None:
    """Return the share of the frauds initiated from `since` on, None if there are none. Raises Unavailable."""
    given = {"since": since, "until": now - dt.timedelta(days=DAYS_AFTER)}
    [row] = queries.rows(recovery_sql(project, dataset, maturity_days), given)
    return ratio(row, now) if row["frauds"] else None


def ratio(row: dict[str, Any], now: dt.datetime) -> Recovery:
    """Return the share by sums over frauds of amounts (a), recovered amounts (r) and their products.

    Source: Cochran, Sampling Techniques, Wiley, 1977, section 6.4 (variance of a ratio).

    >>> row = {"frauds": 2, "a": 300.0, "r": 150.0, "aa": 50_000.0, "ar": 25_000.0, "rr": 12_500.0}
    >>> found = ratio(row, dt.datetime(2026, 11, 20, tzinfo=dt.UTC))
    >>> found.share, found.low, found.high
    (0.5, 0.5, 0.5)
    """
    n, amount = row["frauds"], row["a"]
    share = row["r"] / amount
    squares = max(row["rr"] - 2 * share * row["ar"] + share**2 * row["aa"], 0.0)
    half = _Z * math.sqrt(squares * n / max(n - 1, 1)) / amount
    return Recovery(share, max(share - half, 0.0), min(share + half, 1.0), n, amount, now)


def recovery_sql(project: str, dataset: str, maturity_days: float) -> str:
    """Return the query of the sums, over frauds from @since on with a verdict until @until."""
    life = query("life", project, dataset, maturity_days, "CURRENT_TIMESTAMP()")
    feedback = f"`{project}.{dataset}.feedback`"
    return f"""WITH refunds AS (
  SELECT end_to_end_id, SUM(amount) AS amount
  FROM (
    SELECT end_to_end_id, amount, status FROM {feedback} WHERE source = 'REFUND'
    QUALIFY ROW_NUMBER() OVER (PARTITION BY report_id ORDER BY reported_at DESC, state_hash DESC) = 1
  ) AS latest
  WHERE status = 'CLOSED' AND amount IS NOT NULL
  GROUP BY end_to_end_id
),
hops AS (
  SELECT roots.root, SUM(refunds.amount) AS amount
  FROM (
    SELECT end_to_end_id, MIN(root_end_to_end_id) AS root FROM {feedback}
    WHERE source = 'MED' AND hop >= 2 AND root_end_to_end_id IS NOT NULL GROUP BY end_to_end_id
  ) AS roots
  JOIN refunds ON refunds.end_to_end_id = roots.end_to_end_id
  GROUP BY roots.root
),
frauds AS (
  SELECT end_to_end_id, MAX(CAST(amount AS FLOAT64)) AS a, MAX(CAST(returned_amount AS FLOAT64)) AS returned
  FROM ({life}) AS life
  WHERE verdict = 'FRAUD' AND COALESCE(hop, 1) = 1 AND settled_at IS NOT NULL
    AND initiated_at >= @since AND verdict_at <= @until
  GROUP BY end_to_end_id
),
recovered AS (
  SELECT frauds.a, LEAST(
    frauds.a,
    GREATEST(frauds.returned, COALESCE(CAST(refunds.amount AS FLOAT64), 0))
      + COALESCE(CAST(hops.amount AS FLOAT64), 0)
  ) AS r
  FROM frauds
  LEFT JOIN refunds ON refunds.end_to_end_id = frauds.end_to_end_id
  LEFT JOIN hops ON hops.root = frauds.end_to_end_id
)
SELECT COUNT(*) AS frauds, SUM(a) AS a, SUM(r) AS r, SUM(a * a) AS aa, SUM(a * r) AS ar, SUM(r * r) AS rr
FROM recovered"""  # noqa: S608 (names of our own)


def publish(recovery: Recovery, blobs: Blobs) -> None:
    """Replace the measured share in the bucket. Raises PreconditionFailed, Unavailable."""
    known = blobs.read(RECOVERY)
    blobs.write(RECOVERY, msgspec.json.encode(recovery), known.generation if known else 0)


def published(blobs: Blobs, now: dt.datetime) -> Recovery | None:
    """Return the measured share, None if there is none or it is too old. Raises Misconfigured, Unavailable."""
    known = blobs.read(RECOVERY)
    if known is None:
        return None
    try:
        recovery = msgspec.json.decode(known.data, type=Recovery)
    except (msgspec.DecodeError, ValueError) as error:
        raise Misconfigured(f"{RECOVERY} in the bucket of models is not a measured share: {error}") from error
    return recovery if now - recovery.measured_at <= AGE_MAX else None


def with_recovery(config: Config, recovery: Recovery | None) -> Config:
    """Return a configuration whose sides have the measured share, if there is one, instead of the assumed one."""
    if recovery is None:
        return config
    payer, payee = (replace(costs, recovered=recovery.share) for costs in (config.costs.payer, config.costs.payee))
    return replace(config, costs=SideCosts(payer, payee))
