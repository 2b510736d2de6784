"""Appending rows over a stream that a fake BigQuery answers: faulty rows, broken streams, silence."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from google.cloud.bigquery_storage_v1 import types

from shared.adapters.bigquery.table import BigQueryTable
from shared.contract.rows import QuarantineRow
from shared.contract.tables import table
from shared.errors import Unavailable
from shared.telemetry.metrics import APPENDED, FAILED_APPENDS, RETRIES, Metrics
from tests.waiting import settled

Answer = Callable[[types.AppendRowsRequest], types.AppendRowsResponse | None]
FAULTY = b"faulty"


class Server:
    """Answers each stream in its own way; `stored` holds the serialised rows it took."""

    def __init__(self, *streams: Answer) -> None:
        self.streams = list(streams)
        self.stored: list[bytes] = []

    def append_rows(self, requests: AsyncIterator[types.AppendRowsRequest], _stream: str) -> AsyncIterator[object]:
        return self._answers(requests, self.streams.pop(0))

    async def _answers(
        self, requests: AsyncIterator[types.AppendRowsRequest], answer: Answer
    ) -> AsyncIterator[types.AppendRowsResponse]:
        async for request in requests:
            response = answer(request)
            if response is None:
                continue
            if not response.row_errors and not response.error.code:
                self.stored += request.proto_rows.rows.serialized_rows
            yield response


def takes(_request: types.AppendRowsRequest) -> types.AppendRowsResponse:
    return types.AppendRowsResponse()


def refuses_faulty(request: types.AppendRowsRequest) -> types.AppendRowsResponse:
    rows = request.proto_rows.rows.serialized_rows
    errors = [types.RowError(index=i) for i, row in enumerate(rows) if FAULTY in row]
    return types.AppendRowsResponse(row_errors=errors[:1])  # real answers may be incomplete too


def unavailable(_request: types.AppendRowsRequest) -> types.AppendRowsResponse:
    return types.AppendRowsResponse(error={"code": 14})


def breaks(_request: types.AppendRowsRequest) -> types.AppendRowsResponse:
    raise grpc.aio.AioRpcError(grpc.StatusCode.ABORTED, grpc.aio.Metadata(), grpc.aio.Metadata(), "idle for too long")


def is_silent(_request: types.AppendRowsRequest) -> None:
    return None


def row(reason: str) -> QuarantineRow:
    return QuarantineRow(1, "pix-transactions", reason, "0" * 64, 1)


def over(server: Server, timeout: float = 10.0, metrics: Metrics | None = None) -> BigQueryTable:
    return BigQueryTable(server, "bank", "pix", table("quarantine"), timeout, metrics)  # type: ignore[arg-type]  # a stand-in


def test_refused_rows_are_reported_and_all_others_stored() -> None:
    async def scenario() -> list[int]:
        target = over(server)
        refused = await target.append([row("a"), row("faulty"), row("b"), row("faulty"), row("c")])
        await target.close()
        return sorted(refused)

    server = Server(refuses_faulty)
    assert asyncio.run(scenario()) == [1, 3]
    assert len(server.stored) == 3
    assert not any(FAULTY in stored for stored in server.stored)


@pytest.mark.parametrize("fault", [unavailable, breaks])
def test_a_fault_is_unavailable_and_the_next_append_gets_through(fault: Answer) -> None:
    async def scenario() -> list[int]:
        target = over(server)
        with pytest.raises(Unavailable):
            await target.append([row("a")])
        server.streams[:] = [takes]
        if fault is unavailable:
            await target.close()  # its stream is whole, and answers as before
        refused = await target.append([row("b")])
        await target.close()
        return refused

    server = Server(fault)
    assert asyncio.run(scenario()) == []
    assert len(server.stored) == 1


def test_a_timeout_does_not_close_a_newer_stream() -> None:
    async def persistent(target: BigQueryTable) -> list[int]:
        with pytest.raises(Unavailable):
            await target.append([row("a")])
        return await target.append([row("b")])

    async def patient(target: BigQueryTable) -> None:
        with pytest.raises(Unavailable):
            await target.append([row("c")])

    async def scenario() -> list[int]:
        target = over(server, timeout=0.5)
        first, second = asyncio.create_task(persistent(target)), asyncio.create_task(patient(target))
        await settled()
        time.sleep(0.6)  # both have waited for too long when the loop next looks
        await second
        refused = await first
        await target.close()
        return refused

    server = Server(is_silent, takes)
    assert asyncio.run(scenario()) == []
    assert len(server.stored) == 1


def test_a_stream_closed_while_idle_causes_no_redelivery() -> None:
    async def scenario() -> list[int]:
        target = over(server)
        await target.append([row("a")])
        refused = await target.append([row("b")])
        await target.close()
        return refused

    answers = iter((takes, breaks))
    server = Server(lambda request: next(answers)(request), takes)
    assert asyncio.run(scenario()) == []
    assert len(server.stored) == 2


def test_only_the_first_request_of_a_stream_carries_the_schema() -> None:
    async def scenario() -> None:
        target = over(server)
        for _ in range(3):
            await target.append([row("a")])
        await target.close()

    schemas: list[bool] = []

    def notes(request: types.AppendRowsRequest) -> types.AppendRowsResponse:
        schemas.append(request.proto_rows.HasField("writer_schema"))
        return types.AppendRowsResponse()

    server = Server(notes)
    asyncio.run(scenario())
    assert schemas == [True, False, False]


def test_stored_retried_and_failed_appends_are_counted() -> None:
    async def scenario() -> list[float]:
        metrics = Metrics()
        target = over(server, metrics=metrics)
        await target.append([row("a"), row("faulty")])
        await target.append([row("b")])
        with pytest.raises(Unavailable):
            await target.append([row("c")])
        await target.close()
        return [metrics.value(metric, "quarantine") for metric in (APPENDED, RETRIES, FAILED_APPENDS)]

    answers = iter((refuses_faulty, takes, breaks))
    server = Server(lambda request: next(answers)(request), lambda request: next(again)(request))
    again = iter((takes, unavailable))
    assert asyncio.run(scenario()) == [2, 1, 1]
