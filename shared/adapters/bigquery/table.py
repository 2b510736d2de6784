"""Append rows by the BigQuery Storage Write API: the default stream, with one open connection for each table."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from shared.adapters.bigquery.append import AppendRowsRequest, WriteService
from shared.adapters.bigquery.encoding import RowEncoder
from shared.adapters.bigquery.isolation import STORED, Isolation
from shared.contract.rows import Record
from shared.contract.tables import TableSpec
from shared.errors import Unavailable
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import APPENDED, FAILED_APPENDS, REFUSED_ROWS, RETRIES, Metrics

log = logging.getLogger(__name__)

_INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT.value[0]


class BigQueryTable:
    """`shared.ports.tables.Table` over AppendRows.

    Appends of several callers are in flight together on one stream; answers come in the order of the requests. A
    broken stream is reopened once for callers that waited; a row may then be stored twice, which the views remove.
    A row that BigQuery refuses is a fault of ours, as decoding admits only values it takes: it is an incident.
    """

    def __init__(
        self,
        service: WriteService,
        project: str,
        dataset: str,
        table: TableSpec,
        timeout: float,
        metrics: Metrics | None = None,
    ) -> None:
        self._service = service
        self._stream = f"projects/{project}/datasets/{dataset}/tables/{table.name}/streams/_default"
        self._encoder = RowEncoder(table)
        self._timeout = timeout
        self._table = table.name
        self._metrics = metrics or Metrics()
        self._broken = Incident(log, "append stream broken", time.monotonic)
        self._refused = Incident(log, "rows refused", time.monotonic)
        self._connection: _Connection | None = None

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows; return the indexes of those refused. Raises Unavailable."""
        encoded = self._encoder.encode(rows)
        if not encoded:
            return []

        async def send(kept: Sequence[int]) -> frozenset[int] | None:
            return await self._counted([encoded[i] for i in kept])

        faulty = await self._counted(encoded)
        if faulty == STORED:
            return []
        isolation = Isolation(send)
        await isolation.proceed(range(len(encoded)), faulty)
        self._metrics.add(REFUSED_ROWS, len(isolation.refused), self._table)
        self._refused.trigger(table=self._table, rows=len(isolation.refused))
        return isolation.refused

    async def _counted(self, encoded: list[bytes]) -> frozenset[int] | None:
        try:
            faulty = await self._request(encoded)
        except Unavailable:
            self._metrics.add(FAILED_APPENDS, 1, self._table)
            raise
        if faulty == STORED:
            self._metrics.add(APPENDED, len(encoded), self._table)
            self._broken.resolve()
        return faulty

    async def _request(self, encoded: list[bytes]) -> frozenset[int] | None:
        """Send one AppendRows; see `shared.adapters.bigquery.isolation.Send`."""
        try:
            response = await self._answer(encoded)
        except _Refused:
            return None
        code = response.error.code
        if response.row_errors or code == _INVALID_ARGUMENT:
            named = frozenset(error.index for error in response.row_errors if 0 <= error.index < len(encoded))
            return named or None
        if code:  # of no row, such as a table that does not exist yet: the rows are kept
            raise Unavailable(f"BigQuery: {grpc_code(code)}")
        return STORED

    async def _answer(self, encoded: list[bytes]) -> Any:
        """Return the answer; an open stream may have been closed while idle, so a new one is tried once."""
        was_open = self._connection is not None and not self._connection.broken
        try:
            return await self._send(encoded)
        except _StreamBroken:
            if not was_open:
                raise
            self._metrics.add(RETRIES, 1, self._table)
            return await self._send(encoded)

    async def _send(self, encoded: list[bytes]) -> Any:
        connection = self._open()
        try:
            async with asyncio.timeout(self._timeout):
                return await connection.send(encoded)
        except TimeoutError:
            connection.close()
            raise Unavailable(f"BigQuery did not answer within {self._timeout:g} s") from None

    async def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()

    def _open(self) -> _Connection:
        if self._connection is None or self._connection.broken:
            self._connection = _Connection(self._service, self._stream, self._encoder.descriptor, self._broken)
        return self._connection


def grpc_code(number: int) -> str:
    """Return the name of a gRPC status code.

    >>> grpc_code(14)
    'UNAVAILABLE'
    """
    return next((code.name for code in grpc.StatusCode if code.value[0] == number), str(number))


class _StreamBroken(Unavailable):
    """The stream ended before the answer came."""


class _Refused(Exception):
    """The stream ended because of this request, the first that was not answered."""


class _Connection:
    """One bidirectional AppendRows stream; the n-th answer belongs to the n-th request."""

    def __init__(self, service: WriteService, stream: str, descriptor: Any, incident: Incident) -> None:
        self.broken = False
        self._incident = incident
        self._service = service
        self._stream = stream
        self._descriptor = descriptor
        self._knows_schema = False
        self._requests: asyncio.Queue[list[bytes]] = asyncio.Queue()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._task = asyncio.create_task(self._run())

    async def send(self, encoded: list[bytes]) -> Any:
        """Return the answer to these rows. Raises Unavailable if the stream breaks first."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._requests.put_nowait(encoded)
        return await future

    def close(self) -> None:
        """End the stream; callers that still wait get Unavailable."""
        self.broken = True
        self._task.cancel()

    async def _run(self) -> None:
        reason = "the stream was closed"
        try:
            async for response in self._service.append_rows(self._sent(), self._stream):
                self._knows_schema |= not (response.error.code or response.row_errors)
                future = self._waiting.popleft()
                if not future.done():  # its caller may have given up
                    future.set_result(response)
        except (grpc.RpcError, grpc.aio.BaseError) as error:
            reason = error.code().name if isinstance(error, grpc.RpcError) else type(error).__name__
            self._incident.trigger(reason=reason)
            if reason == grpc.StatusCode.INVALID_ARGUMENT.name and self._waiting:
                _fail(self._waiting.popleft(), _Refused())
        finally:
            self.broken = True
            for future in self._waiting:
                _fail(future, _StreamBroken(f"BigQuery: {reason}"))
            self._waiting.clear()

    async def _sent(self) -> AsyncIterator[Any]:
        """Yield requests; the schema is several times as long as a row, so it is sent until one has been taken."""
        schema: dict[str, Any] = {"proto_descriptor": self._descriptor}
        while True:
            rows = {"serialized_rows": await self._requests.get()}
            data = {"rows": rows} if self._knows_schema else {"writer_schema": schema, "rows": rows}
            yield AppendRowsRequest(write_stream=self._stream, proto_rows=data)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    """Give a caller an error, unless it has given up."""
    if not future.done():
        future.set_exception(error)
