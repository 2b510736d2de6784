"""Queries whose callers wait for them: the client's own retries and waits would take minutes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from google.cloud import bigquery

from shared.adapters.google_failures import FAILURES
from shared.errors import Unavailable

P = ParamSpec("P")
Value = TypeVar("Value")
QueryParameters = Sequence[bigquery.ArrayQueryParameter | bigquery.ScalarQueryParameter]


def rows_in_time(
    client: bigquery.Client, sql: str, config: bigquery.QueryJobConfig, seconds: float
) -> list[bigquery.Row]:
    """Return the rows of a query, each call for which ends in `seconds`. Raises the library's errors."""
    again = bigquery.DEFAULT_RETRY.with_timeout(seconds)
    job = client.query(sql, job_config=config, timeout=seconds, retry=again, job_retry=None)
    return list(job.result(timeout=seconds, retry=again))


class QueriesInTime:
    """Queries of an event loop, in threads; an error names their `subject`."""

    def __init__(self, client: bigquery.Client, subject: str, seconds: float) -> None:
        """Wait at most `seconds` for each answer."""
        self._client = client
        self._subject = subject
        self._seconds = seconds

    async def run(self, answers: int, work: Callable[P, Value], *args: P.args, **kwargs: P.kwargs) -> Value:
        """Return the result of `work`, which waits for so many answers, in a thread. Raises Unavailable."""
        try:
            async with asyncio.timeout(answers * self._seconds):  # the client bounds each of its calls alone
                return await asyncio.to_thread(work, *args, **kwargs)
        except TimeoutError:
            raise Unavailable(f"BigQuery, asked for {self._subject}: no answer in time") from None

    def rows(self, sql: str, parameters: QueryParameters) -> list[dict[str, Any]]:
        """Return the rows of a query. Raises Unavailable."""
        config = bigquery.QueryJobConfig(query_parameters=parameters)
        try:
            return [dict(row.items()) for row in rows_in_time(self._client, sql, config, self._seconds)]
        except FAILURES as error:
            raise Unavailable(f"BigQuery, asked for {self._subject}: {type(error).__name__}") from error

    def rows_of(self, sql: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of a query for the parameter @ids. Raises Unavailable."""
        return self.rows(sql, [bigquery.ArrayQueryParameter("ids", "STRING", ids)])
