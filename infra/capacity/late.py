"""Estimate the bytes behind late outcomes: those of Pix that the store has forgotten, as most returns are.

The outcome function makes the life of such a Pix again by three queries (`shared.adapters.bigquery.asked`): whether
it has a row, its rows, and its outcomes so far. Of a table clustered by id, each reads a block in each partition.
"""

from __future__ import annotations

from infra.capacity.figures import Known

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
TOLD_EARLY_DAYS = 1
"""Outcomes are read from a day before their Pix on, as clocks differ."""
RETURNED_DAYS = 90
"""Days in which a payee may return a Pix (Regulamento do Pix): the partitions that a job would read."""
_FEW_ROWS_READ = 3
"""Tables with few rows in the queries of a late outcome: fills, and lost places twice."""


def rows_of_block(pix_a_day: float, known: Known) -> float:
    """Return the rows of score_events that a query for an id reads in a partition."""
    return min(pix_a_day, known.assumed.block_bytes.value / known.measured.stored_row_bytes.value)


def outcome_lookup_bytes(pix_a_day: float, known: Known) -> float:
    """Return the bytes read to make the life of a Pix again, by queries for it alone."""
    assumed, rows = known.assumed, LOOKED_UP_DAYS * rows_of_block(pix_a_day, known)
    outcomes = pix_a_day * assumed.outcomes_per_pix.value
    block = min(outcomes, assumed.block_bytes.value / known.measured.outcome_stored_row_bytes.value)
    told = (TOLD_EARLY_DAYS + assumed.outcome_lookup_days.value) * block * TOLD_BYTES
    asked = sum(max(QUERY_BYTES_MIN, rows * size) for size in (KNOWN_BYTES, ASKED_BYTES))
    return asked + max(QUERY_BYTES_MIN, told) + _FEW_ROWS_READ * QUERY_BYTES_MIN


def read_at_once_bytes(pix_a_day: float, known: Known) -> float:
    """Return the bytes that a job would read to make the lives of any number of forgotten Pix again, in one query.

    It is no part of the cost, as there is no such job: it tells at which number of late outcomes one would pay.
    """
    outcomes = known.assumed.outcomes_per_pix.value * TOLD_BYTES
    return RETURNED_DAYS * pix_a_day * (ASKED_BYTES + outcomes)
