"""From a source to its acknowledgements: a message is acknowledged once its row is stored, or else given back."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shared.adapters.memory.messages import MemorySource
from shared.errors import Misconfigured, Unavailable
from shared.serving.group_commit import BatchLimits
from shared.serving.pull import Puller
from shared.serving.worker import work
from shared.telemetry.metrics import BATCH, MESSAGES
from tests.builders import encoded, transaction
from tests.unit.serving.test_intake import IntakeBench, run
from tests.waiting import settled

LIMITS = BatchLimits(16, 2, enough=8)


class PullBench:
    """A puller between a source in memory and an intake whose store is a list."""

    def __init__(self, limits: BatchLimits = LIMITS) -> None:
        self.intake, self.source = IntakeBench(limits), MemorySource()
        self.puller = Puller(self.intake.intake, self.source, limits)

    async def __aenter__(self) -> "PullBench":
        self.running = asyncio.create_task(self.puller.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.intake.gate.set()
        await self.puller.stop(1.0)
        await self.running

    async def acknowledged(self, count: int) -> None:
        while len(self.source.acknowledged) < count:
            await asyncio.sleep(0)

    async def given_back(self, count: int) -> None:
        while len(self.source.given_back) < count:
            await asyncio.sleep(0)


def pulled(scenario: Callable[[PullBench], Coroutine[Any, Any, None]]) -> PullBench:
    async def whole() -> PullBench:
        async with PullBench() as bench:
            await scenario(bench)
        return bench

    return run(whole)


def test_every_message_is_acknowledged_once_it_is_stored_or_quarantined() -> None:
    async def scenario(bench: PullBench) -> None:
        bench.source.publish(*(encoded(transaction()) for _ in range(100)), b"{", b"")
        await bench.acknowledged(102)

    bench = pulled(scenario)
    assert sorted(bench.source.acknowledged, key=int) == [str(n) for n in range(102)]
    assert bench.source.given_back == []
    assert len({item.end_to_end_id for item in bench.intake.stored}) == 100
    assert {(row.columns()["reason"], row.columns()["message_id"]) for row in bench.intake.quarantine.rows} == {
        ("not_json", "100"),
        ("no_data", "101"),
    }
    assert bench.intake.counted() == [100, 2, 0, 0]
    assert bench.intake.telemetry.metrics.distribution(BATCH).count < 20


def test_nothing_is_acknowledged_before_its_row() -> None:
    async def scenario(bench: PullBench) -> None:
        bench.intake.gate.clear()
        bench.source.publish(encoded(transaction()), b"{")
        await settled()
        assert bench.source.acknowledged == []
        bench.intake.gate.set()
        await bench.acknowledged(2)

    pulled(scenario)


def test_a_message_that_breaks_its_batch_is_given_back_alone() -> None:
    async def scenario(bench: PullBench) -> None:
        bench.source.publish(*(encoded(transaction()) for _ in range(7)), encoded(transaction(amount="666.00")))
        await bench.acknowledged(7)
        await bench.given_back(1)

    bench = pulled(scenario)
    assert set(bench.source.given_back) == {"7"}
    assert bench.intake.telemetry.metrics.value(MESSAGES, "failed") >= 1


def test_a_row_that_its_table_refuses_is_given_back_alone() -> None:
    async def scenario(bench: PullBench) -> None:
        bench.source.publish(encoded(transaction()), encoded(transaction(amount="0.66")))
        await bench.acknowledged(1)
        await bench.given_back(1)

    bench = pulled(scenario)
    assert (bench.source.acknowledged, set(bench.source.given_back)) == (["0"], {"1"})
    assert bench.intake.telemetry.metrics.value(MESSAGES, "refused") >= 1


def test_an_outage_gives_messages_back_with_rests_and_then_stores_them_once() -> None:
    async def scenario(bench: PullBench) -> None:
        bench.intake.error = Unavailable("away")
        bench.source.publish(*(encoded(transaction()) for _ in range(5)))
        await bench.given_back(5)
        bench.intake.error = None
        await bench.acknowledged(5)

    bench = pulled(scenario)
    assert len(bench.intake.stored) == 5
    assert len(bench.source.given_back) < 50


def test_at_its_end_it_finishes_the_batches_in_work_and_gives_back_the_others() -> None:
    async def scenario() -> MemorySource:
        bench = PullBench()
        running = asyncio.create_task(bench.puller.run())
        bench.intake.gate.clear()
        bench.source.publish(*(encoded(transaction()) for _ in range(100)))
        await settled()
        stopping = asyncio.create_task(bench.puller.stop(60.0))
        await settled()
        bench.intake.gate.set()
        await stopping
        await running
        return bench.source

    source = run(scenario)
    assert (len(source.acknowledged), len(source.given_back)) == (32, 68)
    assert source.closed


def test_a_batch_that_hangs_is_given_back_at_the_end() -> None:
    async def scenario() -> MemorySource:
        bench = PullBench()
        running = asyncio.create_task(bench.puller.run())
        bench.intake.gate.clear()
        bench.source.publish(encoded(transaction()))
        await settled()
        await bench.puller.stop(0.0)
        await running
        return bench.source

    source = run(scenario)
    assert (source.acknowledged, source.given_back) == ([], ["0"])


def test_a_source_that_cannot_be_read_ends_the_worker() -> None:
    async def scenario() -> None:
        source = MemorySource()
        source.fail(Misconfigured("there is no such subscription"))
        await work(IntakeBench().intake, source, LIMITS, 1.0, None)

    with pytest.raises(Misconfigured):
        run(scenario)
