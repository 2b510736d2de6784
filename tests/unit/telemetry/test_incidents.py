"""An incident has one line at its beginning and one at its end."""

import logging
from typing import Any

import pytest

from shared.telemetry.incidents import QUIET_SECONDS, Incident
from shared.telemetry.logs import JsonFormatter
from tests.unit.clocks import ManualClock
from tests.unit.log_records import fields


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, dict[str, Any]]]:
    return [(record.levelname, record.getMessage(), fields(record)) for record in caplog.records]


def test_an_incident_is_a_line_at_its_beginning_and_one_at_its_end(
    caplog: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
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


def test_a_flapping_fault_is_one_incident(caplog: pytest.LogCaptureFixture, clock: ManualClock) -> None:
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


def test_an_incident_without_an_end_ends_at_the_next_one(
    caplog: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    incident = Incident(logging.getLogger("test"), "failed", clock)
    for pause in (1.0, 1.0, QUIET_SECONDS, 1.0):
        incident.trigger()
        clock.now += pause
    assert [message for _, message, _ in lines(caplog)] == ["failed", "failed: over", "failed"]


def test_the_first_line_has_the_stack(caplog: pytest.LogCaptureFixture, clock: ManualClock) -> None:
    incident = Incident(logging.getLogger("test"), "failed", clock)
    for _ in range(2):
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as error:
            incident.trigger(error=error)
    (line,) = map(JsonFormatter().format, caplog.records)
    assert "ZeroDivisionError" in line
    assert "test_the_first_line_has_the_stack" in line
