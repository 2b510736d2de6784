"""Reports in a file of events wait for their subject, as they do at the label function."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from shared.contract.event import micros
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.reading import Clock
from shared.contract.rows import FeedbackRow
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.features.keys import keys_of
from shared.features.layout import WEIGHTS
from shared.replay.event_lines import EventLines
from tests.builders import med_report, transaction

CLOCK = Clock(micros(dt.datetime(2026, 12, 31, tzinfo=dt.UTC)), 300.0)
PIX = transaction()
REPORT = med_report(PIX["end_to_end_id"])
RETURN = "D" + PIX["end_to_end_id"][1:]
RETURNED = {
    "end_to_end_id": PIX["end_to_end_id"],
    "side": "PAYER",
    "status": "RETURNED",
    "return_id": RETURN,
    "at": "2026-11-21T10:00:00Z",
    "amount": "150.00",
    "reason": "MD06",
}
MARKER = {
    "source": "FRAUD_MARKER",
    "report_id": "marker",
    "tax_id": "98765432100",
    "reported_at": "2026-11-22T11:00:00Z",
    "status": "CANCELLED",
    "infraction_report_id": REPORT["report_id"],
}


def read(path: Path, *lines: tuple[str, dict[str, Any]]) -> tuple[EventLines, list[FeedbackRow], list[float]]:
    """Return the file as a source, the rows of its reports, and the frauds that count for the payee's account."""
    path.write_text("".join(json.dumps({"topic": topic, "data": data}) + "\n" for topic, data in lines), "utf-8")
    source = EventLines(path, None, Pseudonymiser(b"secret"), CLOCK)
    rows: list[FeedbackRow] = []
    frauds: list[float] = []
    for batch in source.batches(0):
        rows += batch.feedback
        frauds += batch.chunk.facts.weights[:, WEIGHTS.index("fraud")].tolist()
    return source, rows, [each for each in frauds if each]


@pytest.mark.parametrize("first", [TRANSACTIONS, FEEDBACK])
def test_a_report_before_its_pix_counts_after_it(tmp_path: Path, first: str) -> None:
    lines = [(TRANSACTIONS, PIX), (FEEDBACK, REPORT)]
    source, (row,), frauds = read(tmp_path / "events", *(lines if first == TRANSACTIONS else lines[::-1]))
    assert frauds == [1.0]
    assert row.history_sequence is not None
    assert (source.reports, source.left_out.malformed) == (1, 0)


def test_a_report_without_its_pix_is_no_row(tmp_path: Path) -> None:
    _, rows, frauds = read(tmp_path / "events", (FEEDBACK, REPORT), (TRANSACTIONS, transaction()))
    assert (rows, frauds) == ([], [])


def test_a_marker_waits_for_its_report(tmp_path: Path) -> None:
    lines = [(FEEDBACK, MARKER), (TRANSACTIONS, PIX), (FEEDBACK, REPORT)]
    _, rows, frauds = read(tmp_path / "events", *lines)
    assert [row.source for row in rows] == ["MED", "FRAUD_MARKER"]
    assert frauds == [1.0, -1.0]


@pytest.mark.parametrize("early", [False, True])
def test_a_report_on_a_return_is_about_the_payer_of_its_pix(tmp_path: Path, early: bool) -> None:
    report = med_report(RETURN, reason="REFUND_CANCELLED", situation_type="OTHER")
    lines = [(TRANSACTIONS, PIX), (OUTCOMES, RETURNED), (FEEDBACK, report)]
    source = EventLines(tmp_path / "events", None, Pseudonymiser(b"secret"), CLOCK)
    read(tmp_path / "events", *(lines[::-1] if early else lines))
    (chunk,) = [batch.chunk for batch in source.batches(0)]
    (fraud,) = chunk.facts.weights[:, WEIGHTS.index("fraud")].nonzero()[0].tolist()
    payer, payee = chunk.facts.keys[fraud, :2].tolist()
    assert (payer, payee) == (0, int(chunk.events.payer[0]))
    assert keys_of([""]).tolist() == [0]
