"""`shared.ports.late.LateOutcomes` in the table `late_outcomes`."""

from __future__ import annotations

from shared.contract.rows import OutcomeRow
from shared.contract.stored import stored
from shared.ports.late import LatePeriod
from shared.ports.tables import Parameter, Queries

_SAME = "end_to_end_id, side, status, `at`, reason, return_id, amount"


class BigQueryLate:
    """Late outcomes by one query, which reads that table alone."""

    def __init__(self, queries: Queries, project: str, dataset: str) -> None:
        self._queries = queries
        self._table = f"{project}.{dataset}.late_outcomes"

    def waiting(self, period: LatePeriod, limit: int) -> list[OutcomeRow]:
        """Return outcomes to count, those of a day of Pix together. Raises Unavailable, Misconfigured."""
        parameters: dict[str, Parameter] = {"since": period.since, "now": period.now, "seconds": period.seconds}
        rows = self._queries.rows(waiting_statement(self._table, limit), parameters)
        return [stored(OutcomeRow, "outcomes", row) for row in rows]


def waiting_statement(table: str, limit: int) -> str:
    """Return the GoogleSQL of the late outcomes to count, with the parameters @since, @now and @seconds.

    They are in the order of the days in their ids: a page of ids is then looked up in few partitions.
    """
    known = (
        f"SELECT {_SAME}, MIN(received_at) AS received_at, MAX(tried_at) AS tried_at, "  # noqa: S608 (a table of ours)
        f"COUNTIF(counted) AS times FROM `{table}` WHERE received_at >= @since GROUP BY {_SAME}"
    )
    waits = (
        "TIMESTAMP_DIFF(@now, tried_at, SECOND) >= GREATEST(@seconds, TIMESTAMP_DIFF(tried_at, received_at, SECOND))"
    )
    longest = "TIMESTAMP_DIFF(@now, MIN(COALESCE(tried_at, received_at)) OVER (), SECOND)"
    return (
        f"SELECT {_SAME}, received_at FROM ({known}) AS known "  # noqa: S608 (a table of ours)
        f"WHERE times = 0 AND (tried_at IS NULL OR {waits}) QUALIFY {longest} >= @seconds "
        f"ORDER BY SUBSTR(end_to_end_id, 10, 8), end_to_end_id, received_at LIMIT {limit}"
    )
