"""Estimate the bytes behind late outcomes: those of Pix that the store has forgotten, as most returns are.

`jobs.repair` counts them together: for each page of ids it makes the lives of their Pix again by three queries
(`shared.adapters.bigquery.asked`): whether they have rows, these rows, and their outcomes so far. Of a partition
clustered by id, a query reads the blocks with one of its ids. They are taken as spread evenly, although ids of a day
lie side by side, so that of a later day's partition fewer blocks are read than counted here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from infra.capacity.figures import Known
from shared.operations.late import PAGE
from shared.settings import Settings

QUERY_BYTES_MIN = 10e6
"""BigQuery charges that much for each table of a query at least."""
LOOKED_UP_DAYS = 3
"""Partitions in which a Pix is looked for: that of the day in its id, and those beside it."""
KNOWN_BYTES = 34 + 8
"""Of a row: end_to_end_id, initiated_at."""
ASKED_BYTES = 7 * 34 + 16 + 15 * 8
"""Of a row: ids, amount, and times and numbers of a Pix from which its life is made again."""
TOLD_BYTES = 34 + 9 + 8 + 16 + 8
"""Of an outcome: end_to_end_id, status, at, amount, history_sequence; few have a return_id."""
LATE_BYTES = 2 * 34 + 7 + 9 + 4 + 16 + 3 * 8 + 1
"""Of a row of late_outcomes: ids, side, status, reason, amount, times and mark."""
TOLD_EARLY_DAYS = 1
"""Outcomes are read from a day before their Pix on, as clocks differ."""
RETURNED_DAYS = 90
"""Days in which a payee may return a Pix (Regulamento do Pix): the oldest Pix of a late outcome."""
DAY_SECONDS = 86_400
_FEW_ROWS_READ = 3
"""Tables with few rows in the queries of a page: fills, and lost places twice."""
_ROWS_OF_ONE = 2
"""Rows of late_outcomes for each outcome: as it came, and as it was counted."""


def rows_of_block(pix_a_day: float, known: Known) -> float:
    """Return the rows of score_events that a query for an id reads in a partition."""
    return min(pix_a_day, known.assumed.block_bytes.value / known.measured.stored_row_bytes.value)


def late_bytes_a_day(pix_a_day: float, known: Known, seconds: float, looks_a_day: float) -> float:
    """Return the bytes read a day to count late outcomes together, each time one has waited for `seconds`.

    `looks_a_day` are the queries that look whether one has.
    """
    late = pix_a_day * known.assumed.outcome_lookups_per_pix.value
    kept = Settings("").state_message_days * late * _ROWS_OF_ONE * LATE_BYTES
    runs = DAY_SECONDS / max(seconds, DAY_SECONDS / looks_a_day)
    return looks_a_day * max(QUERY_BYTES_MIN, kept) + min(runs, late) * run_bytes(pix_a_day, known, late / runs)


def run_bytes(pix_a_day: float, known: Known, outcomes: float) -> float:
    """Return the bytes that one run reads for a number of late outcomes; their Pix have exponential ages."""
    mean = known.assumed.outcome_lookup_days.value
    count = max(1, round(outcomes))
    ages = -mean * np.log1p(-(np.arange(count) + 0.5) / count)
    days = np.minimum(ages, RETURNED_DAYS - 1).astype(np.int64)
    return sum(_page_bytes(pix_a_day, known, page) for page in _pages(days))


def outcome_lookup_bytes(pix_a_day: float, known: Known, neighbours: bool = True) -> float:
    """Return the bytes read to make the life of a single Pix again, as for each late outcome at once.

    Without `neighbours` it is looked for on the day in its id alone, and its outcomes on that day and the next: the
    least that such a query can read, which misses later outcomes.
    """
    assumed, rows = known.assumed, (LOOKED_UP_DAYS if neighbours else 1) * rows_of_block(pix_a_day, known)
    days = TOLD_EARLY_DAYS + (assumed.outcome_lookup_days.value if neighbours else 1)
    asked = sum(max(QUERY_BYTES_MIN, rows * size) for size in (KNOWN_BYTES, ASKED_BYTES))
    told = max(QUERY_BYTES_MIN, days * _outcomes_of_block(pix_a_day, known) * TOLD_BYTES)
    return asked + told + _FEW_ROWS_READ * QUERY_BYTES_MIN


def _outcomes_of_block(pix_a_day: float, known: Known) -> float:
    """Return the rows of outcomes that a query for an id reads in a partition."""
    of_day = pix_a_day * known.assumed.outcomes_per_pix.value
    return min(of_day, known.assumed.block_bytes.value / known.measured.outcome_stored_row_bytes.value)


def _pages(days: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield pages of Pix of neighbouring days, the oldest first, as the job takes them."""
    oldest_first = np.sort(days)[::-1]
    for start in range(0, len(days), PAGE):
        yield oldest_first[start : start + PAGE]


def _page_bytes(pix_a_day: float, known: Known, days: NDArray[np.int64]) -> float:
    """Return the bytes that the queries of a page read, given the ages of its Pix in days."""
    of_day, beside = np.bincount(days, minlength=RETURNED_DAYS), LOOKED_UP_DAYS // 2
    near = np.convolve(of_day, np.ones(LOOKED_UP_DAYS), mode="full")[beside:][: RETURNED_DAYS + 1]
    older = np.cumsum(of_day[::-1])[::-1].astype(np.float64)
    since = older[np.maximum(np.arange(RETURNED_DAYS + TOLD_EARLY_DAYS) - TOLD_EARLY_DAYS, 0)]
    rows = _rows_read(near, pix_a_day, rows_of_block(pix_a_day, known))
    outcomes = pix_a_day * known.assumed.outcomes_per_pix.value
    told = _rows_read(since, outcomes, _outcomes_of_block(pix_a_day, known)) if outcomes else 0.0
    sizes = rows * KNOWN_BYTES, rows * ASKED_BYTES, told * TOLD_BYTES
    return sum(max(QUERY_BYTES_MIN, size) for size in sizes) + _FEW_ROWS_READ * QUERY_BYTES_MIN


def _rows_read(ids: NDArray[np.float64], rows: float, of_block: float) -> float:
    """Return the rows in the blocks that a number of ids in each partition touch."""
    blocks = rows / of_block
    return float((rows * (1 - (1 - 1 / blocks) ** ids)).sum()) if blocks > 1 else float(rows * (ids > 0).sum())
