"""Estimate the BigQuery bytes behind the desk: a case reads copies by account, the queue those that are held."""

from __future__ import annotations

from infra.capacity.figures import GIB, TIB, BigQueryPrices, Known
from shared.adapters.bigquery.desk.rows import ENDED_SECONDS
from shared.desk.listing import HELD_DAYS
from shared.desk.settings import DeskSettings

DAYS, COPIES, ACCOUNTS = 30, 2, 2
COPIED_BYTES = 4 * 34 + 8 + 16 + 9
"""Of a Pix in a copy: end_to_end_id, payer_id, payee_id, device_id, initiated_at, amount, decision."""
_SHARED_BYTES = 3 * 34 + 8  # end_to_end_id, payer_id, payee_id, initiated_at
_HELD_BYTES = 3 * 34 + 7 + 9 + 8 * 8 + 16 + 9 + 24 + 22 + 1  # the columns of a held Pix, and those of its order
_ENDED_BYTES = 34 + 9 + 8  # end_to_end_id, status, at
_QUERY_BYTES_MIN = 20e6  # two tables
_UNREFRESHED_DAYS = 0.5 * 30 / 1440  # half of refresh_interval_ms (bigquery.tf)
_EXPIRIES_A_DAY = 1440
_SHARING = 2
"""Queries of the Pix of both accounts, in both copies: for their reports, and for earlier cases."""


def case_bytes(pix_a_day: float, known: Known) -> float:
    """Return the bytes that the page of a case reads about its accounts, without the chain of money.

    Clustering by account limits each read of a copy to one block for each account, whatever the days.
    """
    rows = min(_kept(pix_a_day, known), known.assumed.block_bytes.value / COPIED_BYTES)
    return COPIES * rows * COPIED_BYTES + _SHARING * COPIES * ACCOUNTS * rows * _SHARED_BYTES


def cost_of_desk(pix_a_day: float, known: Known, prices: BigQueryPrices) -> float:
    """Return the monthly cost of copies and cases, in USD, before the region factor.

    BigQuery reads each new row once for each copy, and stores it there.
    """
    stored = COPIES * _kept(pix_a_day, known) * COPIED_BYTES / GIB * prices.active_gib_month
    copied = DAYS * pix_a_day * COPIES * COPIED_BYTES
    read = copied + DAYS * known.assumed.cases_a_day.value * case_bytes(pix_a_day, known)
    return stored + read / TIB * prices.query_tib


def held_bytes(pix_a_day: float, known: Known) -> float:
    """Return the bytes of a look at held Pix: those in the view, and new rows that BigQuery has not put there yet."""
    rows = HELD_DAYS * known.assumed.held_share.value + _UNREFRESHED_DAYS
    return max(_QUERY_BYTES_MIN, pix_a_day * rows * _HELD_BYTES)


def ended_bytes(pix_a_day: float, known: Known) -> float:
    """Return the bytes of a look at the ends of held Pix, which are among all outcomes of HELD_DAYS."""
    outcomes = HELD_DAYS * pix_a_day * known.assumed.outcomes_per_pix.value * _ENDED_BYTES
    return max(_QUERY_BYTES_MIN, outcomes) + held_bytes(pix_a_day, known)


def cost_of_queue(pix_a_day: float, known: Known, prices: BigQueryPrices) -> float:
    """Return the monthly cost of an open queue and of jobs.expire, in USD, before the region factor."""
    seconds = DAYS * known.assumed.queue_hours_a_day.value * 3600
    held = seconds / DeskSettings().refresh_seconds * held_bytes(pix_a_day, known)
    ended = (seconds / ENDED_SECONDS + DAYS * _EXPIRIES_A_DAY) * ended_bytes(pix_a_day, known)
    return (held + ended) / TIB * prices.query_tib


def _kept(pix_a_day: float, known: Known) -> float:
    return DAYS * known.assumed.months_kept.value * pix_a_day
