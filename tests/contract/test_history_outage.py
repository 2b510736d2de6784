"""An outage of the store of history: scoring continues by rules, and nothing is lost or counted twice."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from infra.local.processes import Supervisor
from infra.local.valkey.launch import ValkeyServer
from shared.adapters.memory.serving import MemoryBlobs, MemoryTable
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.wire import Keeping
from shared.contract.payload_hash import PayloadHash
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import ScoreRow
from shared.errors import Unavailable
from shared.features.columns import Events
from shared.features.outcomes import Outcome
from shared.ports.history import Claim
from shared.scoring.champion import Champion
from shared.scoring.conclusions import Conclusions
from shared.scoring.guarded_history import GuardedHistory
from shared.scoring.rules import Rules
from shared.scoring.scorer import NO_HISTORY, Scorer
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import ACK
from shared.serving.score_service import ScorePipeline, score_intake
from shared.settings import ASSUMED
from shared.telemetry.metrics import HISTORY
from shared.wiring.common import now
from tests.builders import encoded, push_body, transaction
from tests.contract.history_changes import life_key, outcome_changes
from tests.contract.history_stores import SERVERS, numbers, opened, running
from tests.telemetry import make_telemetry
from tests.unit.streams import event
from tests.waiting import PATIENCE

CLAIM = Claim("v1", 1)
PAUSE = 60.0


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ValkeyServer]:
    with Supervisor() as supervisor:
        yield running(request.param, tmp_path, supervisor)


def history(server: ValkeyServer, call_seconds: float = PATIENCE) -> ValkeyHistory:
    return ValkeyHistory.connect(server.url, PATIENCE, call_seconds, Keeping(9_000, 900, 900))


class Clock:
    """Stands still, so that a pause lasts for as many calls as it should on a busy machine too."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Stream:
    """The score function's intake over one store, without a model."""

    def __init__(self, store: ValkeyHistory) -> None:
        self.table = MemoryTable()
        telemetry = make_telemetry()
        self.metrics = telemetry.metrics
        champion = Champion(MemoryBlobs(), 60.0, time.monotonic, self.metrics)
        self.clock = Clock()
        guarded = GuardedHistory(store, PAUSE, self.metrics, self.clock)
        conclusions = Conclusions(guarded, ASSUMED)
        scorer = Scorer(guarded, conclusions, champion, Rules.load(), now, 40.0, 1, self.metrics)
        pipeline = ScorePipeline(scorer, self.table, Pseudonymiser(b"test"), now, 86_400.0, self.metrics)
        self.intake = score_intake(pipeline, MemoryTable(), PayloadHash(b"test"), now, BatchLimits(16, 4), telemetry)
        self.sent: list[str] = []

    async def deliver(self, count: int) -> list[ScoreRow]:
        """Deliver new transactions at once and return their rows."""
        messages = [transaction() for _ in range(count)]
        self.sent += [message["end_to_end_id"] for message in messages]
        before = len(self.table.rows)
        statuses = await asyncio.gather(*(self.intake.handle(push_body(encoded(message))) for message in messages))
        assert set(statuses) == {ACK}
        return [row for row in self.table.rows[before:] if isinstance(row, ScoreRow)]

    def ids(self) -> list[str]:
        return [row.event.end_to_end_id for row in self.table.rows if isinstance(row, ScoreRow)]


def with_history(rows: list[ScoreRow]) -> set[bool]:
    """Return whether rows have history; check that their reasons agree with their sequences."""
    assert all((NO_HISTORY in row.reasons) == (row.history_sequence is None) for row in rows)
    return {row.history_sequence is not None for row in rows}


def test_scoring_continues_without_the_store_and_uses_it_after_its_return(server: ValkeyServer) -> None:
    async def scenario() -> None:
        store = history(server)
        stream = Stream(store)
        assert with_history(await stream.deliver(100)) == {True}
        flowing = asyncio.create_task(stream.deliver(400))
        await asyncio.sleep(0)
        server.child.stop(grace=0)
        await flowing
        assert with_history(await stream.deliver(100)) == {False}
        calls = {outcome: stream.metrics.value(HISTORY, outcome) for outcome in ("failed", "skipped")}
        assert 0 < calls["failed"] < calls["skipped"]
        server.child.start()
        server.child.wait_ready()
        stream.clock.now += PAUSE
        assert with_history(await stream.deliver(5)) == {False}, "it answers, but is empty"
        await asyncio.to_thread(opened, server)
        assert with_history(await stream.deliver(5)) == {True}
        assert sorted(stream.ids()) == sorted(stream.sent)
        await store.close()

    asyncio.run(scenario())


def test_a_batch_counted_after_its_time_out_is_not_counted_again(server: ValkeyServer) -> None:
    async def scenario() -> None:
        store, batch = history(server, call_seconds=2.0), [event(i % 3, i % 4, i) for i in range(10)]
        await store.observe(Events([event()]), CLAIM)
        os.killpg(server.child.pid, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable, match="TimeoutError"):
                await asyncio.wait_for(store.observe(Events(batch), CLAIM), PATIENCE)
        finally:
            os.killpg(server.child.pid, signal.SIGCONT)
        patient = history(server)
        first, again = await patient.observe(Events(batch), CLAIM), await patient.observe(Events(batch), CLAIM)
        np.testing.assert_array_equal(first.reads, again.reads)
        assert sorted(numbers(first.sequence)) == list(range(2, 12))
        assert numbers((await patient.observe(Events([event()]), CLAIM)).sequence) == [12]
        await patient.close()
        await store.close()

    asyncio.run(scenario())


def test_a_flushed_script_is_sent_again(server: ValkeyServer) -> None:
    async def scenario() -> None:
        store = history(server)
        await store.observe(Events([event()]), CLAIM)
        async with Redis.from_url(server.url) as redis:
            await redis.script_flush()
        assert numbers((await store.observe(Events([event()]), CLAIM)).sequence) == [2]
        await store.close()

    asyncio.run(scenario())


def test_history_is_unavailable_without_a_server() -> None:
    async def scenario() -> None:
        store = ValkeyHistory.connect("redis://127.0.0.1:1", 0.25, 0.5, Keeping(9_000, 900, 900))
        with pytest.raises(Unavailable, match="ConnectionError"):
            await store.observe(Events([event()]), CLAIM)
        await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("refusal", "name"),
    [("CONFIG SET maxmemory 1", "OutOfMemoryError"), ("REPLICAOF 127.0.0.1 1", "ReadOnlyError")],
)
def test_a_server_that_refuses_writes_counts_nothing_and_recovers(
    server: ValkeyServer, refusal: str, name: str
) -> None:
    async def scenario() -> None:
        store, batch = history(server), [event(i % 3, i % 4, i) for i in range(10)]
        pix = event()
        await store.observe(Events([pix]), CLAIM)
        settled = outcome_changes(await store.find([life_key(pix)]), [(pix, Outcome("SETTLED", pix.initiated_at))])
        redis: Any = Redis.from_url(server.url)
        keys = await redis.dbsize()
        await redis.execute_command(*refusal.split())
        with pytest.raises(Unavailable, match=name):
            await store.observe(Events(batch), CLAIM)
        with pytest.raises(Unavailable, match=name):
            await store.change(settled)
        assert await redis.dbsize() == keys
        await redis.execute_command("CONFIG", "SET", "maxmemory", "0")
        await redis.execute_command("REPLICAOF", "NO", "ONE")
        assert numbers((await store.observe(Events(batch), CLAIM)).sequence) == list(range(2, 12))
        assert numbers((await store.change(settled)).places) == [12]
        await redis.aclose()
        await store.close()

    asyncio.run(scenario())
