"""From body to status, without HTTP: each delivery succeeds or fails alone, within its time."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import pytest

from shared.adapters.memory.serving import MemoryExporter, MemoryTable
from shared.contract.envelope import PubsubMessage
from shared.contract.feedback import decode_feedback
from shared.contract.payload_hash import PayloadHash
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.transaction import Transaction, decode_transaction
from shared.errors import PixError, RowRefused, Unavailable
from shared.ports.messages import MetricsExporter
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import ACK, REFUSED, RETRY_LATER, SLOW_DOWN, Intake
from shared.serving.label_service import LabelPipeline, label_intake
from shared.telemetry.logs import JsonFormatter
from shared.telemetry.metrics import BATCH, MESSAGES, QUARANTINED, QUEUE, STAGE, UNKNOWN_FIELDS, Metrics, Series
from tests.builders import encoded, med_report, push_body, transaction
from tests.telemetry import make_telemetry
from tests.waiting import PATIENCE, settled

NOW = 1_795_185_126_000_000
LIMITS = BatchLimits(16, 4)
Answers = list[int | BaseException]


class IntakeBench:
    """An intake of transactions whose store is a list: `gate` holds batches back, `decoded` counts messages."""

    def __init__(self, limits: BatchLimits = LIMITS, exporter: MetricsExporter | None = None) -> None:
        self.telemetry = make_telemetry(exporter, seconds=0.0)
        self.quarantine, self.decoded = MemoryTable(), 0
        self.stored: list[Transaction] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.intake = Intake(
            "pix-transactions",
            self.decode,
            self.store,
            self.quarantine,
            PayloadHash(b"test"),
            lambda: NOW,
            limits,
            self.telemetry,
        )

    def decode(self, message: PubsubMessage) -> Transaction:
        self.decoded += 1
        if message.data == b"a bug":
            raise ZeroDivisionError
        return decode_transaction(message.data).value

    async def store(self, items: Sequence[Transaction]) -> Mapping[int, PixError]:
        await self.gate.wait()
        if self.error:
            raise self.error
        if any(item.amount == "666.00" for item in items):
            raise ZeroDivisionError
        refused = {i: RowRefused("a table refused the row") for i, item in enumerate(items) if item.amount == "0.66"}
        self.stored += [item for i, item in enumerate(items) if i not in refused]
        return refused

    async def deliver(self, *messages: dict[str, Any] | bytes) -> Answers:
        bodies = [message if isinstance(message, bytes) else push_body(encoded(message)) for message in messages]
        return await asyncio.gather(*(self.intake.handle(body) for body in bodies), return_exceptions=True)

    def start(self, *messages: dict[str, Any] | bytes) -> asyncio.Task[Answers]:
        return asyncio.create_task(self.deliver(*messages))

    def counted(self) -> list[float]:
        names = ("stored", "quarantined", "overloaded", "unavailable")
        return [self.telemetry.metrics.value(MESSAGES, name) for name in names]


Found = TypeVar("Found")


def run(scenario: Callable[[], Coroutine[Any, Any, Found]]) -> Found:
    """Run a scenario, which fails rather than hangs."""
    return asyncio.run(asyncio.wait_for(scenario(), PATIENCE))


def test_a_malformed_message_fails_no_other() -> None:
    async def scenario() -> tuple[IntakeBench, Answers]:
        bench = IntakeBench()
        answers = await bench.deliver(transaction(), push_body(b"{"), push_body(b"a bug"), b"", transaction())
        return bench, answers

    bench, (one, malformed, bug, empty, five) = run(scenario)
    assert [one, malformed, empty, five] == [ACK] * 4
    assert isinstance(bug, ZeroDivisionError)
    assert len(bench.stored) == 2
    assert {row.columns()["reason"] for row in bench.quarantine.rows} == {"not_json", "not_an_envelope"}
    assert bench.counted() == [2, 2, 0, 0]
    assert bench.telemetry.metrics.value(QUARANTINED, "not_json") == 1


def test_a_message_that_breaks_its_batch_fails_alone() -> None:
    async def scenario() -> tuple[IntakeBench, Answers]:
        bench = IntakeBench()
        good = [transaction() for _ in range(11)]
        return bench, await bench.deliver(*good[:7], transaction(amount="666.00"), *good[7:])

    bench, answers = run(scenario)
    assert isinstance(answers.pop(7), ZeroDivisionError)
    assert answers == [ACK] * 11
    assert len({item.end_to_end_id for item in bench.stored}) == len(bench.stored) == 11
    assert bench.telemetry.metrics.value(MESSAGES, "failed") == 1


def test_a_row_that_its_table_refuses_is_delivered_again_and_not_quarantined() -> None:
    async def scenario() -> tuple[IntakeBench, Answers]:
        bench = IntakeBench()
        return bench, await bench.deliver(transaction(), transaction(amount="0.66"), transaction())

    bench, answers = run(scenario)
    assert answers == [ACK, REFUSED, ACK]
    assert (len(bench.stored), bench.quarantine.rows) == (2, [])
    assert bench.telemetry.metrics.value(MESSAGES, "refused") == 1


def test_malformed_messages_are_quarantined_during_an_outage() -> None:
    async def scenario() -> tuple[IntakeBench, Answers]:
        bench = IntakeBench()
        bench.error = Unavailable("away")
        return bench, await bench.deliver(transaction(), push_body(b"{"))

    bench, answers = run(scenario)
    assert answers == [RETRY_LATER, ACK]
    assert bench.counted() == [0, 1, 0, 1]


def test_a_full_queue_answers_at_once_and_reads_nothing() -> None:
    async def scenario() -> tuple[IntakeBench, Answers, Answers, Answers]:
        bench = IntakeBench(BatchLimits(2, 1, longest_queue=3))
        bench.gate.clear()
        flowing = bench.start(*(transaction() for _ in range(2)))
        await settled()
        waiting = bench.start(*(transaction() for _ in range(3)))
        await settled()
        read = bench.decoded
        refused = await bench.deliver(*(b"unread" for _ in range(50)))
        assert bench.decoded == read == 2
        bench.gate.set()
        return bench, refused, await flowing, await waiting

    bench, refused, flowing, waiting = run(scenario)
    assert set(refused) == {SLOW_DOWN}
    assert flowing + waiting == [ACK] * 5
    assert bench.counted() == [5, 0, 50, 0]


def test_an_outage_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        bench = IntakeBench()
        bench.error = Unavailable("away")
        for _ in range(20):
            await bench.deliver(*(transaction() for _ in range(5)))

    run(scenario)
    assert [record.getMessage() for record in caplog.records] == ["retry later"]


def test_draining_finishes_deliveries_in_flight_and_refuses_new_ones() -> None:
    async def scenario() -> tuple[IntakeBench, Answers, Answers, MemoryExporter]:
        exporter = MemoryExporter()
        bench = IntakeBench(BatchLimits(2, 1), exporter)
        bench.gate.clear()
        flowing = bench.start(*(transaction() for _ in range(7)), push_body(b"{"))
        await settled()
        draining = asyncio.create_task(bench.intake.drain(5.0))
        await settled()
        late = await bench.deliver(transaction())
        bench.gate.set()
        await draining
        assert flowing.done()
        return bench, late, await flowing, exporter

    bench, late, flowing, exporter = run(scenario)
    assert (late, flowing, len(bench.stored)) == ([RETRY_LATER], [ACK] * 8, 7)
    exported = {(each.metric, each.label): each.value for each in exporter.exports[-1]}
    assert (exported[MESSAGES, "stored"], exported[MESSAGES, "quarantined"]) == (7, 1)


def test_deliveries_that_do_not_finish_in_time_are_retried() -> None:
    async def scenario() -> tuple[Answers, MemoryExporter]:
        exporter = MemoryExporter()
        bench = IntakeBench(BatchLimits(2, 1), exporter)
        bench.gate.clear()
        flowing = bench.start(*(transaction() for _ in range(7)))
        await settled()
        await bench.intake.drain(0.05)
        return await flowing, exporter

    answers, exporter = run(scenario)
    assert answers == [RETRY_LATER] * 7
    assert [each.value for each in exporter.exports[0] if each.metric is MESSAGES] == [7]


class StuckExporter(MemoryExporter):
    """Hangs until `thawed`, as a collector may that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.thawed = threading.Event()

    def export(self, series: Sequence[Series]) -> None:
        self.thawed.wait()
        super().export(series)


def test_a_hanging_collector_does_not_delay_shutdown() -> None:
    exporter = StuckExporter()

    async def scenario() -> None:
        try:
            await IntakeBench(exporter=exporter).intake.drain(5.0)
            assert exporter.exports == []
        finally:
            exporter.thawed.set()

    run(scenario)


def test_stages_sizes_and_queue_are_recorded_for_each_batch() -> None:
    async def scenario() -> Metrics:
        bench = IntakeBench(BatchLimits(2, 1))
        await bench.deliver(*(transaction() for _ in range(5)))
        await bench.intake.drain(5.0)
        return bench.telemetry.metrics

    metrics = run(scenario)
    assert metrics.distribution(STAGE, "decode").count == 3
    assert metrics.distribution(STAGE, "total").count == 5
    assert (metrics.distribution(BATCH).count, metrics.distribution(BATCH).sum) == (3, 5)
    assert (metrics.distribution(QUEUE).sum, metrics.distribution(QUEUE).most) == (4, 3)


def test_fields_that_the_contract_does_not_know_are_counted() -> None:
    async def scenario() -> tuple[list[int], Metrics]:
        telemetry = make_telemetry()
        pipeline = LabelPipeline(None, MemoryTable(), Pseudonymiser(b"secret"), lambda: NOW, 1e9, telemetry.metrics)
        intake = label_intake(
            pipeline, MemoryTable(), PayloadHash(b"test"), lambda: NOW, BatchLimits(4, 1), telemetry
        )
        report = med_report(transaction()["end_to_end_id"]) | {"new": 1, "newer": 2}
        assert decode_feedback(encoded(report)).unknown_fields == 2
        return [await intake.handle(push_body(encoded(report))) for _ in range(2)], telemetry.metrics

    answers, metrics = run(scenario)
    assert (answers, metrics.value(UNKNOWN_FIELDS)) == ([ACK, ACK], 4)
    assert metrics.distribution(STAGE, "append").count == 2


def test_log_lines_hold_no_personal_data(caplog: pytest.LogCaptureFixture) -> None:
    """The line of a fault in our own code has its type and place, not its values."""
    caplog.set_level(logging.DEBUG)
    secret = "39053344705"

    async def scenario() -> None:
        bench = IntakeBench()
        await bench.deliver(push_body(secret.encode()), transaction(payer__tax_id=secret), secret.encode())
        bench.error = Unavailable("away")
        await bench.deliver(transaction(payer__tax_id=secret))
        try:
            raise ValueError(secret)
        except ValueError:
            logging.getLogger("test").exception("failed")

    run(scenario)
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert {"quarantined", "served", "retry later", "failed"} <= {json.loads(line)["message"] for line in lines}
    assert all({"severity", "time", "message"} <= set(json.loads(line)) for line in lines)
    assert not [line for line in lines if secret in line]
