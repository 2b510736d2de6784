"""Bulk loads into BigQuery: Parquet files in the bucket, then one load job."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any, cast

from google.api_core.exceptions import NotFound
from google.cloud import bigquery, storage

from shared.adapters.gcs import STORAGE_FAILURES
from shared.adapters.google_failures import FAILURES
from shared.errors import Unavailable

FOLDER = "loads/"
_PATIENCE = 600  # seconds for one load job


class BulkLoad:
    """Parquet files for one table, collected under `loads/<name>/` in the bucket and loaded together.

    The job has the same name, so a load that is repeated after a crash loads nothing twice.
    """

    def __init__(self, client: bigquery.Client, bucket: storage.Bucket, target: str, name: str) -> None:
        """Load into `target`, project.dataset.table, under a `name` that is unique to these files."""
        self._client = client
        self._bucket = bucket
        self._target = target
        self._name = name

    def put(self, number: int, data: bytes) -> None:
        """Write one file, replacing a file of the same number. Raises Unavailable."""
        blob = self._bucket.blob(f"{FOLDER}{self._name}/{number:06d}.parquet")
        try:
            blob.upload_from_string(data, content_type="application/vnd.apache.parquet")
        except STORAGE_FAILURES as error:
            raise Unavailable(f"writing {blob.name}: {type(error).__name__}") from error

    def finish(self, parts: int) -> int:
        """Load the files, remove them and return the number of rows. Raises Unavailable."""
        uris = [f"gs://{self._bucket.name}/{FOLDER}{self._name}/{number:06d}.parquet" for number in range(parts)]
        try:
            job = self._job(uris)
            job.result(timeout=_PATIENCE)
            self._bucket.delete_blobs(list(self._bucket.list_blobs(prefix=f"{FOLDER}{self._name}/")))
        except FAILURES as error:
            raise Unavailable(f"loading {self._target}: {type(error).__name__}") from error
        return int(job.output_rows or 0)

    def _job(self, uris: list[str]) -> bigquery.LoadJob:
        """Return the job of that name, started now unless it runs or has succeeded already."""
        job_id = self._name
        with contextlib.suppress(NotFound):
            started: Any = self._client.get_job(self._name)  # a LoadJob, which the library's union type hides
            if started.error_result is None:
                return cast("bigquery.LoadJob", started)
            job_id = f"{self._name}-{uuid.uuid4().hex[:8]}"
        options = bigquery.ParquetOptions()
        options.enable_list_inference = True
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            parquet_options=options,
        )
        return self._client.load_table_from_uri(uris, self._target, job_id=job_id, job_config=config)
