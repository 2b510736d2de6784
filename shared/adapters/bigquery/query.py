"""Queries by BigQuery jobs. BIGQUERY_EMULATOR_HOST redirects the official client to an emulator."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.api_core import exceptions
from google.cloud import bigquery

from shared.adapters.bigquery.in_time import rows_in_time
from shared.adapters.google_failures import FAILURES
from shared.errors import Misconfigured, Unavailable
from shared.ports.tables import Parameter

if TYPE_CHECKING:  # the desk queries without the library of Cloud Storage
    from shared.adapters.gcs import GcsBlobs

log = logging.getLogger(__name__)

STAGING = "exports"
SUBMIT_SECONDS = 30.0
QUERY_SECONDS = 1800.0
_PASSING = {"quotaExceeded", "rateLimitExceeded", "resourcesExceeded"}
"""Reasons of a refused query that may succeed later; BigQuery answers them with 403 or 400
(https://docs.cloud.google.com/bigquery/docs/error-messages)."""
_TYPES = {str: "STRING", int: "INT64", float: "FLOAT64", dt.datetime: "TIMESTAMP"}


class BigQueryQueries:
    """`shared.ports.tables.Queries` whose rows are paged through."""

    def __init__(self, client: bigquery.Client, seconds: float | None = None) -> None:
        """End the job of each query, and the wait for it, after `seconds`; without, wait for QUERY_SECONDS."""
        self._client, self._seconds = client, seconds

    def rows(self, sql: str, parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
        """Return the rows of a query whose parameters are named `@name`. Raises Unavailable, Misconfigured."""
        given = [
            bigquery.ScalarQueryParameter(name, _TYPES[type(value)], value) for name, value in parameters.items()
        ]
        config = bigquery.QueryJobConfig(query_parameters=given)
        return [dict(row) for row in _results(self._client, sql, config, self._seconds)]


class BigQueryExports:
    """`shared.ports.tables.StagedExports` by EXPORT DATA to the bucket: it scales where paging by REST does not."""

    def __init__(self, client: bigquery.Client, bucket: str, blobs: GcsBlobs) -> None:
        """Stage files in `blobs`, which must be the bucket named `bucket`."""
        self._client = client
        self._bucket = bucket
        self._blobs = blobs

    def export(self, sql: str, folder: Path) -> list[Path]:
        """Return the rows of a query as Parquet files in `folder`. Raises Unavailable, Misconfigured."""
        name = uuid.uuid4().hex
        try:
            self.stage(sql, name)
            return self._blobs.download(_prefix(name), folder)
        finally:
            self.clear(name)

    def stage(self, sql: str, name: str) -> None:
        """Write the rows of a query under `name` in the bucket. Raises Unavailable, Misconfigured.

        Rows that the query orders are in order across the files, sorted by file name
        (https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/export-statements).
        """
        _results(self._client, export_statement(sql, f"gs://{self._bucket}/{_prefix(name)}*.parquet"))

    def staged(self, name: str, folder: Path) -> Iterator[Path]:
        """Yield the files under `name` one after the other; each is deleted from `folder` before the next one.

        Raises Unavailable, Misconfigured.
        """
        for file in self._blobs.stream(_prefix(name), folder):
            try:
                yield file
            finally:
                file.unlink()

    def clear(self, name: str) -> None:
        """Delete everything under `name`; the bucket's lifecycle rule deletes the rest."""
        try:
            self._blobs.delete(_prefix(name))
        except (Unavailable, Misconfigured) as error:
            log.warning("export left behind", extra={"fields": {"name": name, "reason": type(error).__name__}})


def _results(
    client: bigquery.Client,
    sql: str,
    config: bigquery.QueryJobConfig | None = None,
    seconds: float | None = None,
) -> list[bigquery.Row]:
    """Run a query and return its rows. Raises Unavailable, Misconfigured."""
    try:
        if config is not None and seconds is not None:
            config.job_timeout_ms = round(1_000 * seconds)  # on the server too
            return rows_in_time(client, sql, config, seconds)
        return list(client.query(sql, job_config=config, timeout=SUBMIT_SECONDS).result(timeout=QUERY_SECONDS))
    except (exceptions.BadRequest, exceptions.NotFound, exceptions.Forbidden) as error:
        if _PASSING & {each.get("reason") for each in error.errors}:
            raise Unavailable(f"BigQuery: {error.message}") from error
        raise Misconfigured(f"BigQuery refuses the query: {error.message}") from error
    except FAILURES as error:
        raise Unavailable(f"BigQuery: {type(error).__name__}") from error


def _prefix(name: str) -> str:
    return f"{STAGING}/{name}/"


def export_statement(sql: str, uri: str) -> str:
    """Return the GoogleSQL that writes the rows of `sql` to `uri`.

    >>> export_statement("SELECT 1 AS one", "gs://b/x/*.parquet")
    "EXPORT DATA OPTIONS(uri='gs://b/x/*.parquet', format='PARQUET', overwrite=true) AS\\nSELECT 1 AS one"
    """
    return f"EXPORT DATA OPTIONS(uri='{uri}', format='PARQUET', overwrite=true) AS\n{sql}"
