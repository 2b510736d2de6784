"""`shared.ports.Lookup` in `pix.score_events`. BIGQUERY_EMULATOR_HOST redirects the client to an emulator."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Collection, Iterable, Mapping

from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from shared.adapters.google_failures import FAILURES
from shared.errors import Unavailable
from shared.ports import Parties

_DAY = dt.timedelta(days=1)
_DATE = slice(9, 17)  # yyyyMMdd within an EndToEndId


class BigQueryLookup:
    """Parties of scored transactions, by one query for each batch of ids.

    A transaction is found if it was initiated on the day in its EndToEndId, in UTC, or a day before or after: an
    institution makes the id when it submits the Pix, which may be on the other side of midnight. So a query reads
    three partitions for each day in the ids, and of those, by clustering, only the blocks with these ids.
    """

    def __init__(self, client: bigquery.Client, project: str, dataset: str, seconds: float) -> None:
        """Wait at most `seconds` for an answer."""
        self._client = client
        self._table = f"{project}.{dataset}.score_events"
        self._seconds = seconds

    async def parties(self, end_to_end_ids: Collection[str]) -> Mapping[str, Parties]:
        """Return the parties of each known transaction. The query runs in a thread. Raises Unavailable."""
        if not end_to_end_ids:
            return {}
        try:
            async with asyncio.timeout(2 * self._seconds):  # the client bounds each of its calls, not all together
                return await asyncio.to_thread(self._query, sorted(set(end_to_end_ids)))
        except TimeoutError:
            raise Unavailable("BigQuery, asked for scored transactions: no answer in time") from None

    def _query(self, ids: list[str]) -> Mapping[str, Parties]:
        parameters = [bigquery.ArrayQueryParameter("ids", "STRING", ids)]
        config = bigquery.QueryJobConfig(query_parameters=parameters)
        again = DEFAULT_RETRY.with_timeout(self._seconds)
        try:
            job = self._client.query(
                statement(self._table, ids), job_config=config, timeout=self._seconds, retry=again, job_retry=None
            )
            rows = job.result(timeout=self._seconds, retry=again)
            return {row[0]: Parties(*row[1:]) for row in (each.values() for each in rows)}
        except FAILURES as error:
            raise Unavailable(f"BigQuery, asked for scored transactions: {type(error).__name__}") from error


def statement(table: str, ids: Iterable[str]) -> str:
    """Return the GoogleSQL that finds the parameter @ids in the partitions of the days of `ids`."""
    return (
        f"SELECT end_to_end_id, payer_id, payee_id, device_id FROM `{table}` "  # noqa: S608 (dates and a table name of ours)
        f"WHERE {found_where(ids)}"
    )


def found_where(ids: Iterable[str]) -> str:
    """Return the condition that a row is of the parameter @ids, in the partitions of the days of `ids`."""
    spans = " OR ".join(
        f"initiated_at >= TIMESTAMP '{first}' AND initiated_at < TIMESTAMP '{last + _DAY}'"
        for first, last in _spans(ids)
    )
    return f"end_to_end_id IN UNNEST(@ids) AND ({spans})"


def _spans(ids: Iterable[str]) -> list[tuple[dt.date, dt.date]]:
    """Return the first and last day of each unbroken run of days within a day of those in the ids.

    >>> _spans(["E1234567820261120", "E1234567820261122"])
    [(datetime.date(2026, 11, 19), datetime.date(2026, 11, 23))]
    """
    spans: list[tuple[dt.date, dt.date]] = []
    for day in sorted({dt.date.fromisoformat(id_[_DATE]) for id_ in ids}):
        first, last = day - _DAY, day + _DAY
        if spans and first <= spans[-1][1] + _DAY:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
    return spans
