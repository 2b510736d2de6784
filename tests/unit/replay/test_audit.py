"""Audits take equal rows as equal, and name each difference."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.fields import Verdict
from shared.contract.rows import ScoreRow
from shared.contract.tables import table
from shared.errors import Misconfigured
from shared.features.columns import Columns
from shared.features.facts import VerdictCount
from shared.features.history import MemoryHistory
from shared.features.state import State
from shared.features.vector import feature_matrix
from shared.features.verdicts import ReportedVerdict, VerdictLog
from shared.ports import Parties
from shared.replay.arrow_rows import arrow_table
from shared.replay.audit import Audit
from shared.replay.reports import Reported, ReportQueue
from tests.unit.replay.rows import score_row
from tests.unit.streams import event

SECOND = 1_000_000
Sentence = tuple[int, int, int, Verdict]
sentences = st.lists(
    st.tuples(st.integers(0, 39), st.integers(0, 39), st.integers(0, 50), st.sampled_from(list(Verdict))), max_size=12
)


def served(count: int = 40, sentences: Sequence[Sentence] = ()) -> tuple[pa.Table, list[Reported]]:
    """Serve Pix among few accounts one by one; return their rows and the reports as logged.

    A sentence (after, about, reported at, verdict) is counted once `after` Pix have been.
    """
    history, log = MemoryHistory(), VerdictLog()
    reports: list[Reported] = []
    rows: list[ScoreRow] = []
    events = [event(i % 5, (i * 3 + 1) % 5, seconds=(i * 37) % 101, amount=1000 + 77 * i) for i in range(count)]
    for place, one in enumerate(events):
        for _, about, second, verdict in (each for each in sentences if each[0] == place and each[1] < place):
            of, now = events[about], ReportedVerdict(verdict, one.initiated_at + second * SECOND)
            counted = log.apply(of.end_to_end_id, now, history.sequence)
            parties = Parties(of.payer_id, of.payee_id, of.device_id)
            history.report([VerdictCount(*parties, each.reported_at, each.fraud, each.sign) for each in counted])
            if counted:
                reports.append(Reported(of.end_to_end_id, parties, now, len(reports), history.sequence))
        reads, sequence = history.observe([one])
        vector = feature_matrix(Columns.of([one]), reads)[0]
        rows.append(score_row(one, int(sequence[0]), vector))
    return arrow_table(table("score_events"), rows), reports


def audit(rows: pa.Table, reports: Sequence[Reported] = (), start: State | None = None, size: int = 7) -> Audit:
    work = Audit(start or State.empty(), ReportQueue(reports))
    for place in range(0, rows.num_rows, size):
        work.add(rows.slice(place, size), lambda scored_at: np.ones(len(scored_at), dtype=bool))
    return work


def changed(rows: pa.Table, column: str, place: int, change: Callable[[Any], object]) -> pa.Table:
    values = rows[column].to_pylist()
    values[place] = change(values[place])
    kind = rows.schema.field(column).type
    return rows.set_column(rows.column_names.index(column), column, pa.array(values, kind))


@given(sentences)
def test_reports_count_where_they_were_counted(sentences: Sequence[Sentence]) -> None:
    """Also several between two Pix, and verdicts that are taken back."""
    rows, reports = served(sentences=sentences)
    work = audit(rows, reports)
    assert work.comparison.rows == 40
    assert work.comparison.features == {}


def test_a_missing_report_is_found() -> None:
    rows, reports = served(sentences=[(20, 3, 0, Verdict.FRAUD)])
    assert audit(rows, reports).comparison.features == {}
    found = audit(rows).comparison.features
    assert any("fraud" in name for name in found)


@pytest.mark.parametrize(("steps", "differs"), [(1, False), (8, True)])
def test_one_ulp_is_rounding_and_more_is_not(steps: int, differs: bool) -> None:
    rows, _ = served()
    column = "f_payee_mean_7d"

    def later(value: float) -> float:
        for _ in range(steps):
            value = np.nextafter(np.float32(value), np.float32(np.inf))
        return float(value)

    work = audit(changed(rows, column, 30, later))
    assert list(work.comparison.features) == (["payee_mean_7d"] if differs else [])
    assert work.comparison.rounded >= (not differs)


def test_a_feature_missing_on_one_side_differs() -> None:
    rows, _ = served()
    found = audit(changed(rows, "f_payee_mean_7d", 30, lambda _: None)).comparison.features["payee_mean_7d"]
    assert (found.rows, found.largest, found.ulp) == (1, None, None)
    assert found.end_to_end_id == rows["end_to_end_id"][30].as_py()


def test_rows_of_a_redelivery_are_equal_or_named() -> None:
    rows, _ = served()
    again = rows.take(pa.array([0, 1, 1, 1, *range(2, 14), 13, *range(14, 40)]))
    work = audit(again)
    assert (work.comparison.rows, work.sequence.duplicates, work.sequence.unequal) == (40, 3, [])
    work = audit(changed(again, "decision", 3, lambda _: "REJECT"))
    assert work.sequence.unequal == [2]
    assert work.comparison.features == {}


def test_two_transactions_at_one_place_are_named() -> None:
    rows, _ = served()
    twice = rows.take(pa.array([0, 1, 1, *range(2, 40)]))
    work = audit(changed(twice, "end_to_end_id", 2, lambda _: "E" + "0" * 31))
    assert (work.sequence.conflicts, work.sequence.unequal) == ([2], [])


def test_a_missing_row_is_a_gap() -> None:
    rows, _ = served()
    work = audit(rows.take(pa.array([*range(10), *range(12, 20), *range(21, 40)])))
    assert (work.sequence.missing, work.sequence.gaps) == (3, [[11, 12], [21, 21]])


def test_an_audit_continues_from_a_state() -> None:
    rows, reports = served(sentences=[(5, 1, 0, Verdict.FRAUD), (30, 1, 9, Verdict.LEGITIMATE)])
    first = audit(rows.slice(0, 20), reports)
    work = audit(rows.slice(20), reports, start=first.state())
    assert (work.comparison.rows, work.comparison.features, work.sequence.missing) == (20, {}, 0)
    assert audit(rows.slice(20), reports, start=State.empty()).comparison.features


def test_unordered_rows_cannot_be_audited() -> None:
    rows, _ = served()
    with pytest.raises(Misconfigured, match="not in the order"):
        audit(rows.take(pa.array([0, 2, 1])))
