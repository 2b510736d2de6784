"""A breaker protects batches from an unavailable store."""

import asyncio

import numpy as np
import pytest

from shared.errors import Unavailable
from shared.features.columns import Events
from shared.ports import Claim, Observations
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
        )


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
