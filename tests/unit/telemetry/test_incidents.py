"""Incidents: one line when something begins, one when it is over; a breaker between us and what is away."""

import asyncio
import logging

import numpy as np
import pytest

from shared.errors import Unavailable
from shared.features.columns import Events
from shared.ports import Claim, Observations
from shared.scoring.breaker import Breaker
from shared.scoring.guarded_history import FAILURES, GuardedHistory
from shared.telemetry.incidents import QUIET_SECONDS, Incident
from shared.telemetry.logs import JsonFormatter
from shared.telemetry.metrics import HISTORY, Metrics


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def lines(caplog):
    return [(record.levelname, record.getMessage(), record.fields) for record in caplog.records]


def test_an_incident_is_a_line_at_its_beginning_and_one_at_its_end(caplog, clock):
    incident = Incident(logging.getLogger("test"), "away", clock)
    incident.resolve()
    for _ in range(1000):
        incident.trigger(3, reason="frozen")
        clock.now += 0.01
    incident.resolve()
    clock.now += QUIET_SECONDS
    caplog.set_level(logging.INFO)
    for _ in range(10):
        incident.resolve()
    assert lines(caplog) == [
        ("ERROR", "away", {"reason": "frozen"}),
        ("WARNING", "away: over", {"times": 3000, "seconds": 10.0}),
    ]


def test_a_flapping_fault_is_one_incident_until_it_stays_away(caplog, clock):
    incident = Incident(logging.getLogger("test"), "away", clock)
    for _ in range(20):
        incident.trigger()
        clock.now += QUIET_SECONDS / 2
        incident.resolve()
    assert len(caplog.records) == 1
    clock.now += QUIET_SECONDS
    incident.resolve()
    incident.trigger()
    assert [message for _, message, _ in lines(caplog)] == ["away", "away: over", "away"]


def test_an_incident_without_an_end_ends_at_the_next_one(caplog, clock):
    incident = Incident(logging.getLogger("test"), "failed", clock)
    for pause in (1.0, 1.0, QUIET_SECONDS, 1.0):
        incident.trigger()
        clock.now += pause
    assert [message for _, message, _ in lines(caplog)] == ["failed", "failed: over", "failed"]


def test_the_first_line_has_the_stack(caplog, clock):
    incident = Incident(logging.getLogger("test"), "failed", clock)
    for _ in range(2):
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as error:
            incident.trigger(error=error)
    (line,) = map(JsonFormatter().format, caplog.records)
    assert "ZeroDivisionError" in line
    assert "test_the_first_line_has_the_stack" in line


def test_a_breaker_opens_after_failures_in_a_row_only(clock):
    breaker = Breaker(3, 5.0, clock)
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    assert not breaker.allows()


def test_an_open_breaker_lets_one_call_through_after_each_pause(clock):
    breaker = Breaker(1, 5.0, clock)
    breaker.failed()
    clock.now += 4.9
    assert not breaker.allows()
    clock.now += 0.2
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.failed()
    clock.now += 4.9
    assert not breaker.allows()
    clock.now += 0.2
    assert breaker.allows()
    breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_a_lost_trial_call_does_not_keep_the_breaker_open(clock):
    breaker = Breaker(1, 5.0, clock)
    breaker.failed()
    clock.now += 5.0
    assert breaker.allows()
    clock.now += 5.0
    assert breaker.allows()


class Store:
    """History that counts its calls and may be away."""

    def __init__(self):
        self.calls = 0
        self.away = True

    async def observe(self, events, claim):
        self.calls += 1
        if self.away:
            raise Unavailable("timed out")
        return Observations(
            np.zeros((len(events), 1)),
            np.ones(len(events), dtype=np.int64),
            [claim] * len(events),
            np.zeros(len(events), bool),
        )


def test_an_unavailable_store_is_called_once_a_pause(caplog, clock):
    store, metrics = Store(), Metrics()
    history = GuardedHistory(store, 2.0, metrics, clock)

    async def batches(count):
        unavailable = 0
        for _ in range(count):
            try:
                await history.observe(Events(["pix"] * 10), Claim(None, 1))
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
    assert [message for _, message, _ in lines(caplog)] == ["history unavailable", "history unavailable: over"]
    assert caplog.records[1].fields["times"] == 2000
    outcomes = {outcome: metrics.value(HISTORY, outcome) for outcome in ("answered", "failed", "skipped")}
    assert outcomes == {"answered": 101, "failed": FAILURES + 1, "skipped": 195}
