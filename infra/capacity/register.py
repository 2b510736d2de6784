"""Estimate the bytes behind the register of suspicions, which each instance that scores reads again and again."""

from __future__ import annotations

from infra.capacity.figures import TIB, BigQueryPrices, Known
from infra.capacity.late import QUERY_BYTES_MIN
from infra.capacity.plan import Plan
from shared.scoring.suspected_accounts import READ_SECONDS

DAYS, SECONDS = 30, 30 * 86_400
ROWS_OF_ONE = 2
ROW_BYTES = 4 * 34 + 9 + 3 * 8 + 120 + 2 * 40
"""Of a row: ids, event, times and key version, a finding of a line or two, and two documents."""


def register_bytes(pix_a_day: float, known: Known) -> float:
    """Return the bytes of one reading: all rows of the table, as those in force lie among them."""
    frauds = DAYS * known.assumed.months_kept.value * pix_a_day * known.assumed.frauds_per_pix
    return max(QUERY_BYTES_MIN, frauds * known.assumed.suspicions_per_fraud.value * ROWS_OF_ONE * ROW_BYTES)


def cost_of_register(plan: Plan, known: Known, prices: BigQueryPrices) -> float:
    """Return the monthly cost of the readings of all instances, in USD, before the region factor.

    As many instances as at the peak are taken to read all the time.
    """
    readings = plan.score_instances * SECONDS / READ_SECONDS
    return readings * register_bytes(plan.pix_a_day, known) / TIB * prices.query_tib
