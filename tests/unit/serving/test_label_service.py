"""The label function without HTTP: each verdict counts once, and every report leaves its row."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence

import pytest

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.memory.serving import MemoryLookup, MemoryTable
from shared.contract.event import Event, micros
from shared.contract.rows import FeedbackRow, QuarantineRow, Record
from shared.errors import Unavailable
from shared.features.columns import Events
from shared.features.history import READ_NAMES
from shared.ports import Claim, Parties, PixVerdict
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import ACK, RETRY_LATER
from shared.serving.label_service import LabelPipeline, SharedHistory, label_intake
from tests.builders import encoded, med_report, push_body, transaction
from tests.telemetry import make_telemetry
from tests.unit.streams import event

NOW = micros(dt.datetime(2026, 11, 24, tzinfo=dt.UTC))
FRAUDS = READ_NAMES.index("payee_frauds_received_30d")


class UnavailableHistory(MemoryHistoryAdapter):
    """History that may be away."""

    away = False

    async def apply(self, verdicts: Sequence[PixVerdict]) -> list[int | None]:
        if self.away:
            raise Unavailable("history is away")
        return await super().apply(verdicts)


class CrashingTable(MemoryTable):
    """A table whose owner dies just before, or just after, the row is stored."""

    def __init__(self) -> None:
        super().__init__()
        self.crashes: list[str] = []

    async def append(self, rows: Sequence[Record]) -> list[int]:
        crash = self.crashes.pop() if self.crashes else ""
        if crash == "before":
            raise Unavailable("crash")
        refused = await super().append(rows)
        if crash == "after":
            raise Unavailable("crash")
        return refused


class LabelBench:
    """A label intake over memory."""

    def __init__(self, shared: bool = True) -> None:
        self.history, self.lookup, self.feedback = UnavailableHistory(), MemoryLookup(), CrashingTable()
        self.quarantine = MemoryTable()
        history, telemetry = SharedHistory(self.lookup, self.history) if shared else None, make_telemetry()
        pipeline = LabelPipeline(history, self.feedback, lambda: NOW, 86_400.0, telemetry.metrics)
        self.intake = label_intake(pipeline, self.quarantine, lambda: NOW, BatchLimits(16, 1), telemetry)

    def scored(self) -> Event:
        pix = event(0, 1, end_to_end_id=transaction()["end_to_end_id"])
        asyncio.run(self.history.observe(Events([pix]), Claim("v1", 1)))
        self.lookup.known[pix.end_to_end_id] = Parties(pix.payer_id, pix.payee_id, pix.device_id)
        return pix

    def deliver(self, *reports: dict[str, object]) -> list[int]:
        async def all_of_them() -> list[int]:
            return await asyncio.gather(*(self.intake.handle(push_body(encoded(each))) for each in reports))

        return asyncio.run(all_of_them())

    def sequences(self) -> list[int | None]:
        return [row.history_sequence for row in self.feedback.rows if isinstance(row, FeedbackRow)]

    def frauds(self) -> float:
        reads = asyncio.run(self.history.observe(Events([event(2, 1, 3 * 86_400)]), Claim("v1", 1))).reads
        return round(float(reads[0, FRAUDS]), 1)


def test_a_report_is_counted_and_its_row_has_the_sequence() -> None:
    bench = LabelBench()
    assert bench.deliver(med_report(bench.scored().end_to_end_id)) == [ACK]
    assert bench.sequences() == [1]
    assert bench.frauds() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("crash", "rows"), [("before", 1), ("after", 2)])
def test_a_crash_around_the_append_counts_the_label_once(crash: str, rows: int) -> None:
    bench = LabelBench()
    report = med_report(bench.scored().end_to_end_id)
    bench.feedback.crashes = [crash]
    assert bench.deliver(report) == [RETRY_LATER]
    assert bench.deliver(report) == [ACK]
    assert bench.sequences() == [1] * rows
    assert bench.frauds() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("part", ["history", "lookup", "feedback"])
def test_a_report_is_retried_while_a_service_is_unavailable(part: str) -> None:
    bench = LabelBench()
    report = med_report(bench.scored().end_to_end_id)
    getattr(bench, part).away = True
    assert bench.deliver(report) == [RETRY_LATER]
    assert bench.sequences() == []
    getattr(bench, part).away = False
    assert bench.deliver(report) == [ACK]
    assert bench.sequences() == [1]


def test_a_report_about_an_unknown_pix_is_stored_without_history(caplog: pytest.LogCaptureFixture) -> None:
    bench = LabelBench()
    known = med_report(bench.scored().end_to_end_id)
    assert bench.deliver(med_report(transaction()["end_to_end_id"]), known) == [ACK, ACK]
    assert bench.sequences() == [None, 1]
    assert [record.message for record in caplog.records] == ["unknown transactions reported"]


def test_reports_that_arrive_together_are_weighed_in_their_order() -> None:
    bench = LabelBench()
    id_ = bench.scored().end_to_end_id
    cancelled = med_report(id_, status="CANCELLED", analysis_result=None, reported_at="2026-11-23T10:00:00Z")
    assert bench.deliver(med_report(id_), cancelled) == [ACK, ACK]
    assert bench.sequences() == [1, 1]
    assert bench.frauds() == 0.0


def test_where_history_is_not_shared_the_row_is_stored_alone() -> None:
    bench = LabelBench(shared=False)
    assert bench.deliver(med_report(bench.scored().end_to_end_id)) == [ACK]
    assert bench.sequences() == [None]
    assert bench.frauds() == 0.0


def test_a_report_from_the_future_is_quarantined_before_it_counts() -> None:
    bench = LabelBench()
    id_ = bench.scored().end_to_end_id
    assert bench.deliver(med_report(id_, reported_at="2028-01-01T00:00:00Z")) == [ACK]
    assert bench.sequences() == []
    (row,) = bench.quarantine.rows
    assert isinstance(row, QuarantineRow)
    assert (row.reason, row.field) == ("in_the_future", "reported_at")
    assert bench.frauds() == 0.0
