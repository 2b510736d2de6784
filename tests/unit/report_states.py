"""Messages about one Pix in which everything collides: for tests of verdicts."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import strategies as st

from shared.contract.event import micros
from shared.contract.feedback import decode_feedback
from shared.contract.mapping import feedback_row
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow
from tests.builders import encoded, med_report

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
PSEUDONYMS = Pseudonymiser(b"secret")
PIX = "E12345678202611201432a1b2c3d4e5f"
RETURN = "D12345678202611211432a1b2c3d4e5f"


def row(message: dict[str, Any]) -> FeedbackRow:
    """Return the row of a message."""
    return feedback_row(decode_feedback(encoded(message)).value, micros(NOON), PSEUDONYMS)


def minutes(count: float) -> str:
    """Return a time in minutes after noon."""
    return (NOON + dt.timedelta(minutes=count)).isoformat()


def med(status: str, at: float, report: str = "m-1", pix: str = PIX, **more: Any) -> dict[str, Any]:
    """Return an infraction report; AGREED and DISAGREED are closed."""
    result = status if status in ("AGREED", "DISAGREED") else None
    state = {"status": "CLOSED" if result else status, "analysis_result": result, "reported_at": minutes(at)}
    return med_report(pix, report_id=report, **state | more)


def analyst(verdict: str, at: float, report: str = "a-1", pix: str = PIX, **more: Any) -> dict[str, Any]:
    """Return an analyst's verdict."""
    about = {"source": "ANALYST", "report_id": report, "end_to_end_id": pix, "reported_at": minutes(at)}
    return about | {"verdict": verdict} | more


def customer(status: str, at: float, report: str = "c-1", pix: str = PIX) -> dict[str, Any]:
    """Return a customer's word."""
    about = {"source": "CUSTOMER", "report_id": report, "end_to_end_id": pix, "reported_at": minutes(at)}
    return about | {"status": status}


def marker(status: str, at: float, report: str = "f-1", about: str | None = "m-1", **more: Any) -> dict[str, Any]:
    """Return a fraud marker."""
    message = {"source": "FRAUD_MARKER", "report_id": report, "tax_id": "98765432100", "reported_at": minutes(at)}
    return message | {"status": status, "infraction_report_id": about} | more


_at = st.sampled_from([0, 0, 1, 2, 3])
_recoveries = st.sampled_from([None, "one", "two"])
_med_ids = st.sampled_from(["m-1", "m-2"])
messages = st.one_of(
    st.builds(
        lambda status, at, report, hop, recovery: med(status, at, report, hop=hop, funds_recovery_id=recovery),
        st.sampled_from(["OPEN", "ACKNOWLEDGED", "AGREED", "AGREED", "DISAGREED", "CANCELLED"]),
        _at,
        _med_ids,
        st.sampled_from([None, None, 1, 2, 3]),
        _recoveries,
    ),
    st.builds(analyst, st.sampled_from(["FRAUD", "LEGITIMATE"]), _at, st.sampled_from(["a-1", "a-2", "m-1"])),
    st.builds(customer, st.sampled_from(["CONTESTED", "WITHDRAWN"]), _at),
    st.builds(
        marker, st.sampled_from(["REGISTERED", "CANCELLED"]), _at, st.sampled_from(["f-1", "f-2"]), about=_med_ids
    ),
)
"""A message about the Pix; few times and ids, so that most pairs of messages collide."""
