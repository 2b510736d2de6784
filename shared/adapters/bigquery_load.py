"""Load rows into BigQuery in bulk: Parquet in the bucket, then one load job."""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence

import pyarrow.parquet as pq
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.cloud import bigquery, storage
from requests.exceptions import RequestException

from shared.adapters.arrow_rows import arrow_table
from shared.contract.rows import Record
from shared.contract.tables import TableSpec
from shared.errors import Unavailable

_PATIENCE = 600  # seconds for one load job


class BulkLoad:
    """Rows for one table, gathered as Parquet files under `loads/` in the bucket and loaded together."""

    def __init__(
        self, client: bigquery.Client, bucket: storage.Bucket, project: str, dataset: str, table: TableSpec
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._target = f"{project}.{dataset}.{table.name}"
        self._table = table
        self._folder = f"loads/{table.name}-{uuid.uuid4().hex[:12]}"
        self._parts = 0

    def add(self, rows: Sequence[Record]) -> None:
        """Write rows to the bucket. Raises Unavailable."""
        if not rows:
            return
        buffer = io.BytesIO()
        pq.write_table(arrow_table(self._table, rows), buffer, compression="zstd", use_dictionary=False)
        self._put(buffer)
        self._parts += 1

    def load(self) -> int:
        """Load all that was added, remove the files and return the number of rows. Raises Unavailable."""
        if not self._parts:
            return 0
        options = bigquery.ParquetOptions()
        options.enable_list_inference = True
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            parquet_options=options,
        )
        try:
            job = self._client.load_table_from_uri(
                f"gs://{self._bucket.name}/{self._folder}/*.parquet", self._target, job_config=config
            )
            job.result(timeout=_PATIENCE)
            self._bucket.delete_blobs(list(self._bucket.list_blobs(prefix=f"{self._folder}/")))
        except (GoogleAPICallError, RetryError, RequestException) as error:
            raise Unavailable(f"loading {self._target}: {type(error).__name__}") from error
        return int(job.output_rows or 0)

    def _put(self, buffer: io.BytesIO) -> None:
        blob = self._bucket.blob(f"{self._folder}/{self._parts:06d}.parquet")
        try:
            blob.upload_from_file(buffer, rewind=True, content_type="application/vnd.apache.parquet")
        except (GoogleAPICallError, RetryError, RequestException) as error:
            raise Unavailable(f"writing {blob.name}: {type(error).__name__}") from error
