"""Errors of BigQuery queries, by the consequence for the caller."""

from __future__ import annotations

import concurrent.futures
from typing import Any, cast

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from shared.adapters.bigquery.query import QUERY_SECONDS, BigQueryQueries
from shared.errors import Misconfigured, Unavailable


class RefusingClient:
    """A BigQuery client whose every query fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def query(self, *_: Any, **__: Any) -> Any:
        raise self._error


class OneJob:
    """A BigQuery client and its job: each query takes `takes_ms`, if it has that time."""

    def __init__(self, takes_ms: int) -> None:
        self._takes_ms, self._given_ms = takes_ms, 0

    def query(self, _sql: str, job_config: bigquery.QueryJobConfig, **_: Any) -> OneJob:
        self._given_ms = int(job_config.job_timeout_ms or QUERY_SECONDS * 1_000)
        return self

    def result(self, timeout: float, **_: Any) -> list[dict[str, int]]:
        if self._takes_ms > min(self._given_ms, 1_000 * timeout):
            raise concurrent.futures.TimeoutError
        return [{"given_ms": self._given_ms}]


@pytest.mark.parametrize(("seconds", "given_ms"), [(None, 1_800_000), (30.0, 30_000)])
def test_a_query_has_the_time_that_its_callers_have(seconds: float | None, given_ms: int) -> None:
    queries = BigQueryQueries(cast("bigquery.Client", OneJob(takes_ms=20_000)), seconds)
    assert queries.rows("SELECT 1", {}) == [{"given_ms": given_ms}]


def test_a_query_that_takes_longer_than_its_callers_wait_is_unavailable() -> None:
    queries = BigQueryQueries(cast("bigquery.Client", OneJob(takes_ms=20_000)), 10.0)
    with pytest.raises(Unavailable):
        queries.rows("SELECT 1", {})


def ask(error: Exception) -> None:
    BigQueryQueries(cast("bigquery.Client", RefusingClient(error))).rows("SELECT 1", {})


@pytest.mark.parametrize("reason", ["quotaExceeded", "rateLimitExceeded"])
def test_an_exceeded_quota_is_worth_a_retry(reason: str) -> None:
    with pytest.raises(Unavailable):
        ask(exceptions.Forbidden("later", errors=[{"reason": reason}]))


def test_exceeded_resources_are_worth_a_retry() -> None:
    with pytest.raises(Unavailable):
        ask(exceptions.BadRequest("later", errors=[{"reason": "resourcesExceeded"}]))


@pytest.mark.parametrize("kind", [exceptions.Forbidden, exceptions.BadRequest, exceptions.NotFound])
def test_other_refusals_are_a_misconfiguration(kind: type[exceptions.GoogleAPICallError]) -> None:
    with pytest.raises(Misconfigured):
        ask(kind("no", errors=[{"reason": "accessDenied"}]))
