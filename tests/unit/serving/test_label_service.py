"""The label function without HTTP: each verdict counts once, and every report leaves its row or comes again."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.memory.serving import MemoryLookup, MemoryTable
from shared.contract.event import Event, micros
from shared.contract.payload_hash import PayloadHash
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow, QuarantineRow, Record
from shared.errors import Unavailable
from shared.features.columns import Events
from shared.features.history import READ_NAMES
from shared.features.verdicts import pix_key
from shared.ports.decisions import Parties
from shared.ports.history import Changed, Changes, Claim
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import ACK, RETRY_LATER
from shared.serving.label_service import LabelPipeline, label_intake
from shared.serving.verdict_history import ATTEMPTS, VerdictHistory
from tests.builders import encoded, med_report, push_body, transaction
from tests.telemetry import make_telemetry
from tests.unit.streams import event

NOW = micros(dt.datetime(2026, 11, 24, tzinfo=dt.UTC))
AHEAD_SECONDS = 300.0
PSEUDONYMS = Pseudonymiser(b"secret")


class DisturbedHistory(MemoryHistoryAdapter):
    """History that may be away, and whose values another instance changes just before some of our changes."""

    away = False
    disturbances: list[Changes]

    def __init__(self) -> None:
        super().__init__()
        self.disturbances = []
        self.disturbed = 0

    async def find(self, keys: Sequence[str]) -> list[bytes | None]:
        if self.away:
            raise Unavailable("history is away")
        return await super().find(keys)

    async def change(self, changes: Changes) -> Changed:
        if self.disturbances:
            self.disturbed += 1
            await super().change(self.disturbances.pop())
        return await super().change(changes)


class Recording(MemoryHistoryAdapter):
    """History that keeps the changes it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Changes] = []

    async def change(self, changes: Changes) -> Changed:
        self.asked.append(changes)
        return await super().change(changes)


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

    def __init__(self, shared: bool = True, history: MemoryHistoryAdapter | None = None) -> None:
        self.lookup, self.feedback, self.quarantine = MemoryLookup(), CrashingTable(), MemoryTable()
        self.history = history or DisturbedHistory()
        counted, telemetry = VerdictHistory(self.lookup, self.history) if shared else None, make_telemetry()
        pipeline = LabelPipeline(counted, self.feedback, PSEUDONYMS, lambda: NOW, AHEAD_SECONDS, telemetry.metrics)
        self.intake = label_intake(
            pipeline, self.quarantine, PayloadHash(b"test"), lambda: NOW, BatchLimits(16, 1), telemetry
        )

    def scored(self, **more: Any) -> Event:
        pix = event(0, 1, **{"end_to_end_id": transaction()["end_to_end_id"]} | more)
        asyncio.run(self.history.observe(Events([pix]), Claim("v1", 1)))
        self.lookup.known[pix.end_to_end_id] = Parties(pix.payer_id, pix.payee_id, pix.device_id)
        return pix

    def deliver(self, *reports: Mapping[str, object]) -> list[int]:
        async def all_of_them() -> list[int]:
            return await asyncio.gather(*(self.intake.handle(push_body(encoded(each))) for each in reports))

        return asyncio.run(all_of_them())

    def sequences(self) -> list[int | None]:
        return [row.history_sequence for row in self.feedback.rows if isinstance(row, FeedbackRow)]

    def read(self, name: str, payer: int = 2, payee: int = 1, **more: Any) -> float:
        """Return a value of history as the next Pix reads it."""
        observed = asyncio.run(
            self.history.observe(Events([event(payer, payee, 3 * 86_400, **more)]), Claim("v1", 1))
        )
        return round(float(observed.reads[0, READ_NAMES.index(name)]), 1)

    def frauds(self) -> float:
        return self.read("payee_frauds_received_30d")


def marker(status: str, day: int, about: str | None = None) -> dict[str, object]:
    """Return a fraud marker of the payee and a key."""
    return {
        "source": "FRAUD_MARKER",
        "report_id": "marker",
        "tax_id": "98765432100",
        "key": "+5511999999999",
        "reported_at": f"2026-11-{day:02d}T00:00:00Z",
        "status": status,
        "infraction_report_id": about,
    }


def test_a_report_is_counted_and_its_row_has_the_place() -> None:
    bench = LabelBench()
    assert bench.deliver(med_report(bench.scored().end_to_end_id)) == [ACK]
    assert bench.sequences() == [2]
    assert bench.frauds() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("crash", "rows"), [("before", 1), ("after", 2)])
def test_a_crash_around_the_append_counts_the_label_once(crash: str, rows: int) -> None:
    bench = LabelBench()
    report = med_report(bench.scored().end_to_end_id)
    bench.feedback.crashes = [crash]
    assert bench.deliver(report) == [RETRY_LATER]
    assert bench.deliver(report) == [ACK]
    assert bench.sequences() == [2] * rows
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
    assert bench.sequences() == [2]


def test_a_report_before_its_pix_comes_again_and_counts_then() -> None:
    bench = LabelBench()
    early, known = transaction()["end_to_end_id"], med_report(bench.scored().end_to_end_id)
    assert bench.deliver(med_report(early), known) == [RETRY_LATER, ACK]
    assert bench.sequences() == [2]
    bench.scored(end_to_end_id=early)
    assert bench.deliver(med_report(early)) == [ACK]
    assert bench.sequences() == [2, 4]
    assert bench.frauds() == pytest.approx(2.0, abs=0.1)


def test_a_report_dated_ahead_of_the_clock_waits() -> None:
    bench = LabelBench()
    id_ = bench.scored().end_to_end_id
    assert bench.deliver(med_report(id_, reported_at="2026-11-24T00:06:00Z")) == [RETRY_LATER]
    assert (bench.sequences(), bench.quarantine.rows, bench.frauds()) == ([], [], 0.0)
    assert bench.deliver(med_report(id_, reported_at="2026-11-24T00:04:00Z")) == [ACK]


def test_reports_that_arrive_together_end_in_one_verdict() -> None:
    bench = LabelBench()
    id_ = bench.scored().end_to_end_id
    cancelled = med_report(id_, status="CANCELLED", analysis_result=None, reported_at="2026-11-23T10:00:00Z")
    assert bench.deliver(med_report(id_), cancelled, med_report(id_)) == [ACK] * 3
    assert bench.sequences() == [2, 3, 2]
    assert bench.frauds() == 0.0


def test_one_report_time_in_each_state_does_not_toggle() -> None:
    """The first state, delivered again, has the same time as the last one."""
    bench = LabelBench()
    id_ = bench.scored().end_to_end_id
    opened = med_report(id_, status="OPEN", analysis_result=None, fraud_type=None)
    assert [bench.deliver(each) for each in (opened, med_report(id_), opened, med_report(id_))] == [[ACK]] * 4
    assert bench.sequences() == [None, 2, None, 2]
    assert bench.frauds() == pytest.approx(1.0, abs=0.1)


def test_a_report_that_the_customer_opens_later_does_not_undo_the_analyst() -> None:
    bench = LabelBench()
    id_ = bench.scored().end_to_end_id
    analyst = {"source": "ANALYST", "report_id": "a", "end_to_end_id": id_, "reported_at": "2026-11-21T00:00:00Z"}
    opened = med_report(id_, status="OPEN", analysis_result=None, fraud_type=None)
    assert bench.deliver(analyst | {"verdict": "FRAUD"}) == [ACK]
    assert bench.deliver(opened) == [ACK]
    assert bench.frauds() == pytest.approx(1.0, abs=0.1)


def test_a_later_hop_marks_its_payee_and_spares_its_payer() -> None:
    bench = LabelBench()
    assert bench.deliver(med_report(bench.scored().end_to_end_id, hop=2)) == [ACK]
    assert bench.read("payee_hops_30d") == pytest.approx(1.0, abs=0.1)
    assert bench.frauds() == pytest.approx(1.0, abs=0.1)
    assert bench.read("payer_frauds_sent_30d", payer=0, payee=3) == 0.0


def test_the_change_of_another_instance_is_read_before_ours_is_made() -> None:
    theirs = LabelBench(history=Recording())
    ours = LabelBench()
    id_ = theirs.scored().end_to_end_id
    ours.scored(end_to_end_id=id_)
    cancelled = med_report(id_, status="CANCELLED", analysis_result=None, reported_at="2026-11-23T10:00:00Z")
    assert theirs.deliver(cancelled) == [ACK]
    assert isinstance(theirs.history, Recording)
    assert isinstance(ours.history, DisturbedHistory)
    ours.history.disturbances = list(theirs.history.asked)
    assert ours.deliver(med_report(id_)) == [ACK]
    assert ours.history.disturbed == 1
    assert ours.sequences() == [None]
    assert ours.frauds() == 0.0
    assert ours.read("payee_cleared_received_30d") == pytest.approx(1.0, abs=0.1)


def test_a_pix_whose_reports_always_change_meanwhile_comes_again() -> None:
    class Racing(MemoryHistoryAdapter):
        async def find(self, keys: Sequence[str]) -> list[bytes | None]:
            self.finds = getattr(self, "finds", 0) + 1
            return [None for _ in keys]

    history = Racing()
    bench = LabelBench(history=history)
    id_ = bench.scored().end_to_end_id
    history.restore({pix_key(id_): (7).to_bytes(4, "little")})
    assert bench.deliver(med_report(id_)) == [RETRY_LATER]
    assert history.finds == ATTEMPTS + 1
    assert bench.sequences() == []


def test_where_history_is_not_shared_the_row_is_stored_alone() -> None:
    bench = LabelBench(shared=False)
    assert bench.deliver(med_report(transaction()["end_to_end_id"])) == [ACK]
    assert bench.sequences() == [None]


def test_a_marker_counts_for_its_person_and_key_until_it_is_cancelled() -> None:
    bench = LabelBench()
    owner: dict[str, Any] = {
        "payee_person_id": PSEUDONYMS.person("98765432100"),
        "payee_key_id": PSEUDONYMS.key("+5511999999999"),
    }
    assert bench.deliver(marker("REGISTERED", 20), marker("REGISTERED", 20)) == [ACK, ACK]
    assert bench.sequences() == [1, 1]
    assert (bench.read("owner_markers_ever", **owner), bench.read("key_markers_ever", **owner)) == (1.0, 1.0)
    assert bench.deliver(marker("CANCELLED", 21)) == [ACK]
    assert (bench.read("owner_markers_ever", **owner), bench.read("key_markers_ever", **owner)) == (0.0, 0.0)


def test_a_cancelled_marker_takes_back_the_verdict_of_its_report() -> None:
    bench = LabelBench()
    report = med_report(bench.scored().end_to_end_id)
    about = str(report["report_id"])
    assert bench.deliver(report) == [ACK]
    assert bench.deliver(marker("CANCELLED", 23, about)) == [RETRY_LATER]
    bench.lookup.reports[about] = frozenset({str(report["end_to_end_id"])})
    assert bench.deliver(marker("CANCELLED", 23, about), marker("CANCELLED", 23, about)) == [ACK, ACK]
    assert bench.sequences() == [2, 3, 3]
    assert bench.frauds() == 0.0


def test_refunds_and_recoveries_are_rows_only() -> None:
    bench = LabelBench()
    pix = transaction()["end_to_end_id"]
    common = {"report_id": "r", "reported_at": "2026-11-22T10:00:00Z"}
    refund = {"source": "REFUND", "end_to_end_id": pix, "status": "CLOSED", "result": "PARTIAL", "amount": "80.00"}
    graph = [{"end_to_end_id": pix, "hop": 1, "amount": "150.00"}]
    recovery = {"source": "FUNDS_RECOVERY", "root_end_to_end_id": pix, "status": "TRACKED", "graph": graph}
    assert bench.deliver(common | refund, common | recovery) == [ACK, ACK]
    assert bench.sequences() == [None, None]
    assert bench.history.history.sequence == 0


def test_too_many_reports_about_one_pix_are_quarantined() -> None:
    bench = LabelBench()
    id_ = bench.scored().end_to_end_id
    several = [med_report(id_, report_id=f"r{i}", status="OPEN", analysis_result=None) for i in range(65)]
    assert [bench.deliver(each) for each in several] == [[ACK]] * 65
    (row,) = bench.quarantine.rows
    assert isinstance(row, QuarantineRow)
    assert (row.reason, row.field) == ("too_many_reports", "report_id")
    assert len(bench.sequences()) == 64
