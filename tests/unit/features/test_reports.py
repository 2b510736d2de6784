"""The value that a store keeps for the reports about one Pix is bounded."""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.features.reports import STATES_MAX, Reports, ReportState, Standing, state_of
from tests.unit.report_states import med, row


def state(report: int, at: int) -> ReportState:
    return ReportState(report, at, Standing.OPEN, 0)


def full(*states: ReportState) -> Reports:
    value = Reports()
    for each in states:
        value = value.with_state(each, lambda _: None)
    return value


def test_a_full_value_forgets_the_oldest_state_that_was_replaced() -> None:
    value = full(state(0, 1), state(0, 0), *(state(i, 0) for i in range(1, STATES_MAX - 1)), state(0, 2))
    assert len(value.states) == STATES_MAX
    assert state(0, 0) not in value.states
    assert {state(0, 1), state(0, 2)} <= set(value.states)


def test_a_full_value_of_latest_states_refuses_another_report() -> None:
    value = full(*(state(i, 0) for i in range(STATES_MAX)))
    with pytest.raises(Malformed, match="too_many_reports"):
        full(*value.states, state(STATES_MAX, 0))


def test_a_refund_has_no_state() -> None:
    refund = {
        "source": "REFUND",
        "report_id": "r",
        "end_to_end_id": med("OPEN", 0)["end_to_end_id"],
        "reported_at": "2026-11-24T12:00:00Z",
        "status": "CLOSED",
        "result": "PARTIAL",
        "amount": "80.00",
    }
    assert state_of(row(refund)) is None
    assert row(refund).amount == 8000
