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
from shared.telemetry.metrics import APPENDED, FAILED_APPENDS, REFUSED_ROWS, RETRIES, Metrics
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


def names_no_row(request: types.AppendRowsRequest) -> types.AppendRowsResponse:
    faulty = any(FAULTY in row for row in request.proto_rows.rows.serialized_rows)
    return types.AppendRowsResponse(error={"code": 3}) if faulty else types.AppendRowsResponse()


def names_a_row_too_many(request: types.AppendRowsRequest) -> types.AppendRowsResponse:
    answer = names_no_row(request)
    return types.AppendRowsResponse(row_errors=[types.RowError(index=999)]) if answer.error.code else answer


def hangs_up(request: types.AppendRowsRequest) -> types.AppendRowsResponse:
    if names_no_row(request).error.code:
        raise grpc.aio.AioRpcError(grpc.StatusCode.INVALID_ARGUMENT, grpc.aio.Metadata(), grpc.aio.Metadata(), "bad")
    return types.AppendRowsResponse()


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


@pytest.mark.parametrize("way", [refuses_faulty, names_no_row, names_a_row_too_many, hangs_up])
@pytest.mark.parametrize("faulty", [[], [0], [255], [3, 4], [0, 100, 200, 254], list(range(8))])
def test_faulty_rows_are_isolated_however_the_request_is_refused(way: Answer, faulty: list[int]) -> None:
    async def scenario() -> list[int]:
        target = over(server, metrics=metrics)
        refused = await target.append([row("faulty" if i in faulty else "fine") for i in range(256)])
        await target.close()
        return sorted(refused)

    server, metrics = Server(*[way] * 100), Metrics()
    assert asyncio.run(scenario()) == faulty
    assert len(server.stored) == 256 - len(faulty)
    counted = [metrics.value(metric, "quarantine") for metric in (APPENDED, REFUSED_ROWS, FAILED_APPENDS)]
    assert counted == [256 - len(faulty), len(faulty), 0]


def test_one_faulty_row_is_found_in_as_many_rounds_as_halves() -> None:
    sizes: list[int] = []

    def counts(request: types.AppendRowsRequest) -> types.AppendRowsResponse:
        sizes.append(len(request.proto_rows.rows.serialized_rows))
        return names_no_row(request)

    async def scenario() -> list[int]:
        target = over(Server(counts))
        refused = await target.append([row("faulty" if i == 77 else "fine") for i in range(256)])
        await target.close()
        return refused

    assert asyncio.run(scenario()) == [77]
    assert len(sizes) == 1 + 2 * 8


def test_a_table_that_refuses_every_row_takes_few_requests_and_stores_none() -> None:
    requests = 0

    def refuses(_request: types.AppendRowsRequest) -> types.AppendRowsResponse:
        nonlocal requests
        requests += 1
        return types.AppendRowsResponse(error={"code": 3})

    async def scenario() -> list[int]:
        target = over(server)
        refused = await target.append([row("fine")] * 256)
        await target.close()
        return refused

    server = Server(refuses)
    assert sorted(asyncio.run(scenario())) == list(range(256))
    assert (requests < 32, server.stored) == (True, [])


def test_a_refused_row_is_an_incident_without_its_content(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        target = over(Server(names_no_row))
        await target.append([row("faulty"), row("fine")])
        await target.close()

    asyncio.run(scenario())
    [record] = caplog.records
    assert (record.getMessage(), record.__dict__["fields"]) == ("rows refused", {"table": "quarantine", "rows": 1})


def test_neighbours_on_a_stream_that_a_faulty_row_ended_are_stored() -> None:
    async def scenario() -> tuple[list[int], list[int]]:
        target = over(server)
        await target.append([row("first")])
        one, other = await asyncio.gather(target.append([row("faulty")]), target.append([row("fine")]))
        await target.close()
        return one, other

    server = Server(hangs_up, hangs_up)
    assert asyncio.run(scenario()) == ([0], [])
    assert len(server.stored) == 2


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
