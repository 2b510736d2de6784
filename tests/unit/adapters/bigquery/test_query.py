"""Errors of BigQuery queries, by the consequence for the caller."""

from __future__ import annotations

from typing import Any, cast

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from shared.adapters.bigquery.query import BigQueryQueries
from shared.errors import Misconfigured, Unavailable


class RefusingClient:
    """A BigQuery client whose every query fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def query(self, *_: Any, **__: Any) -> Any:
        raise self._error


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
