"""A breaker protects batches from an unavailable store."""

import asyncio
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from shared.errors import Unavailable
from shared.features.columns import Events
from shared.features.facts import Facts
from shared.features.life import LIFE
from shared.ports.history import Answer, Changed, Changes, Claim, Observations
from shared.scoring.guarded_history import FAILURES, GuardedHistory
from shared.telemetry.incidents import QUIET_SECONDS
from shared.telemetry.metrics import HISTORY, Metrics
from tests.unit.clocks import ManualClock
from tests.unit.log_records import fields
from tests.unit.streams import event


class Store:
    """History that counts its calls and may be away."""

    def __init__(self) -> None:
        self.calls = 0
        self.away = True

    async def observe(self, events: Events, claim: Claim) -> Observations:
        self.calls += 1
        if self.away:
            raise Unavailable("timed out")
        return Observations(
            np.zeros((len(events), 1), np.float32),
            np.ones(len(events), dtype=np.int64),
            [claim] * len(events),
            np.zeros(len(events), bool),
            np.zeros(len(events), LIFE),
            [1] * len(events),
            [None] * len(events),
            [()] * len(events),
        )

    def stored(self, rows: Iterable[tuple[str, str]]) -> None:
        del rows

    async def answer(self, answers: Sequence[Answer]) -> None:
        del answers

    async def keep_reads(self) -> None:
        pass

    async def settle(self) -> None:
        pass

    async def find(self, keys: Sequence[str]) -> list[bytes | None]:
        self.calls += 1
        if self.away:
            raise Unavailable("timed out")
        return [None] * len(keys)

    async def change(self, changes: Changes) -> Changed:
        self.calls += 1
        if self.away:
            raise Unavailable("timed out")
        return Changed(np.arange(len(changes.keys)), [()] * len(changes.keys))

    async def prolong(self, end_to_end_ids: Sequence[str]) -> None:
        await self.find(end_to_end_ids)

    async def visited(self, changes: Sequence[tuple[str, int]]) -> list[tuple[int, ...]]:
        return [()] * len(changes)


def test_an_unavailable_store_is_called_once_a_pause(caplog: pytest.LogCaptureFixture, clock: ManualClock) -> None:
    store, metrics = Store(), Metrics()
    history = GuardedHistory(store, 2.0, metrics, clock)

    async def batches(count: int) -> int:
        unavailable = 0
        for _ in range(count):
            try:
                await history.observe(Events([event()] * 10), Claim(None, 1))
            except Unavailable:
                unavailable += 1
        return unavailable

    assert (asyncio.run(batches(100)), store.calls) == (100, FAILURES)
    clock.now += 2.0
    assert (asyncio.run(batches(100)), store.calls) == (100, FAILURES + 1)
    clock.now += 2.0
    store.away = False
    assert (asyncio.run(batches(100)), store.calls) == (0, FAILURES + 101)
    clock.now += QUIET_SECONDS
    asyncio.run(batches(1))
    assert [record.getMessage() for record in caplog.records] == ["history unavailable", "history unavailable: over"]
    assert fields(caplog.records[1])["times"] == 2000
    outcomes = {outcome: metrics.value(HISTORY, outcome) for outcome in ("answered", "failed", "skipped")}
    assert outcomes == {"answered": 101, "failed": FAILURES + 1, "skipped": 195}


def test_observations_and_changes_have_one_breaker(clock: ManualClock) -> None:
    """A store that does not answer changes is not asked for observations either, and the other way round."""
    store = Store()
    history = GuardedHistory(store, 2.0, Metrics(), clock)
    nothing = Changes(["lE1"], [0], [b""], [-1], Facts.blank(np.empty(0)), np.empty(0, dtype=np.int64))

    async def attempts() -> int:
        unavailable = 0
        for call in (
            lambda: history.find(["lE1"]),
            lambda: history.change(nothing),
            lambda: history.observe(Events([event()]), Claim(None, 1)),
        ):
            for _ in range(3):
                try:
                    await call()
                except Unavailable:
                    unavailable += 1
        return unavailable

    assert (asyncio.run(attempts()), store.calls) == (9, FAILURES)
    clock.now += 2.0
    store.away = False
    assert (asyncio.run(attempts()), store.calls) == (0, FAILURES + 9)
