"""Append rows to BigQuery by the Storage Write API: default stream, one open connection for each table."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence

import grpc
from google.api_core.exceptions import GoogleAPICallError
from google.cloud.bigquery_storage_v1 import types
from google.cloud.bigquery_storage_v1.services.big_query_write import BigQueryWriteAsyncClient

from shared.adapters.row_encoding import RowEncoder
from shared.contract.rows import Record
from shared.contract.tables import TableSpec
from shared.errors import Unavailable
from shared.incidents import Incident
from shared.metrics import APPENDED, FAILED_APPENDS, RETRIES, Metrics

log = logging.getLogger(__name__)


class BigQueryTable:
    """`shared.ports.Table` over AppendRows.

    Appends of several callers are in flight together on one stream; answers come in the order of the requests. A
    broken stream is opened again once for those that waited; a row may then be there twice, which no view minds.
    """

    def __init__(
        self,
        client: BigQueryWriteAsyncClient,
        project: str,
        dataset: str,
        table: TableSpec,
        timeout: float,
        metrics: Metrics | None = None,
    ) -> None:
        self._client = client
        self._stream = f"projects/{project}/datasets/{dataset}/tables/{table.name}/streams/_default"
        self._encoder = RowEncoder(table)
        self._schema = types.ProtoSchema(proto_descriptor=self._encoder.descriptor)
        self._timeout = timeout
        self._table = table.name
        self._metrics = metrics or Metrics()
        self._broken = Incident(log, "append stream broken", time.monotonic)
        self._connection: _Connection | None = None

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows; return the indexes of those refused. Raises Unavailable."""
        encoded = self._encoder.encode(rows)
        kept = list(range(len(rows)))
        refused: list[int] = []
        while kept:
            bad = await self._counted([encoded[i] for i in kept])
            if not bad:
                break
            refused += [kept[k] for k in bad]
            kept = [i for k, i in enumerate(kept) if k not in bad]
        return refused

    async def _counted(self, encoded: list[bytes]) -> set[int]:
        try:
            bad = await self._request(encoded)
        except Unavailable:
            self._metrics.add(FAILED_APPENDS, 1, self._table)
            raise
        if not bad:
            self._metrics.add(APPENDED, len(encoded), self._table)
            self._broken.over()
        return bad

    async def _request(self, encoded: list[bytes]) -> set[int]:
        """Send one AppendRows and return the indexes of faulty rows; if there are any, none has been stored."""
        request = types.AppendRowsRequest(
            write_stream=self._stream,
            proto_rows=types.AppendRowsRequest.ProtoData(
                writer_schema=self._schema, rows=types.ProtoRows(serialized_rows=encoded)
            ),
        )
        response = await self._answer(request)
        if response.row_errors:
            return {error.index for error in response.row_errors}
        if (
            response.error.code
        ):  # about no row in particular: perhaps a schema that is not deployed, so nothing is given up
            raise Unavailable(f"BigQuery: {grpc_code(response.error.code)}")
        return set()

    async def _answer(self, request: types.AppendRowsRequest) -> types.AppendRowsResponse:
        """Return the answer; a stream that was open may have been closed while idle, so another is tried once."""
        was_open = self._connection is not None and not self._connection.broken
        try:
            return await self._send(request)
        except _StreamBroken:
            if not was_open:
                raise
            self._metrics.add(RETRIES, 1, self._table)
            return await self._send(request)

    async def _send(self, request: types.AppendRowsRequest) -> types.AppendRowsResponse:
        connection = self._open()
        try:
            async with asyncio.timeout(self._timeout):
                return await connection.send(request)
        except TimeoutError:
            connection.close()
            raise Unavailable(f"BigQuery did not answer within {self._timeout:g} s") from None

    async def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()

    def _open(self) -> _Connection:
        if self._connection is None or self._connection.broken:
            self._connection = _Connection(self._client, self._broken)
        return self._connection


def grpc_code(number: int) -> str:
    """Return the name of a gRPC status code.

    >>> grpc_code(14)
    'UNAVAILABLE'
    """
    return next((code.name for code in grpc.StatusCode if code.value[0] == number), str(number))


class _StreamBroken(Unavailable):
    """The stream ended before the answer came."""


class _Connection:
    """One bidirectional AppendRows stream; the n-th answer belongs to the n-th request."""

    def __init__(self, client: BigQueryWriteAsyncClient, incident: Incident) -> None:
        self.broken = False
        self._incident = incident
        self._client = client
        self._requests: asyncio.Queue[types.AppendRowsRequest] = asyncio.Queue()
        self._waiting: deque[asyncio.Future[types.AppendRowsResponse]] = deque()
        self._task = asyncio.create_task(self._run())

    async def send(self, request: types.AppendRowsRequest) -> types.AppendRowsResponse:
        """Return the answer to `request`. Raises Unavailable if the stream breaks first."""
        future: asyncio.Future[types.AppendRowsResponse] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._requests.put_nowait(request)
        return await future

    def close(self) -> None:
        """End the stream; whoever still waits gets Unavailable."""
        self.broken = True
        self._task.cancel()

    async def _run(self) -> None:
        reason = "the stream was closed"
        try:
            async for response in await self._client.append_rows(self._sent()):
                future = self._waiting.popleft()
                if not future.done():  # its caller may have given up
                    future.set_result(response)
        except (GoogleAPICallError, grpc.RpcError) as error:
            reason = f"{type(error).__name__}"
            self._incident.happened(reason=reason)
        finally:
            self.broken = True
            for future in self._waiting:
                if not future.done():
                    future.set_exception(_StreamBroken(f"BigQuery: {reason}"))
            self._waiting.clear()

    async def _sent(self) -> AsyncIterator[types.AppendRowsRequest]:
        while True:
            yield await self._requests.get()
