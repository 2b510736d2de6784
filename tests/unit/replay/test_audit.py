"""Audits take equal rows as equal, and name each difference."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.state import State
from shared.replay.audit import Audit
from shared.replay.changes import ChangeQueue
from shared.replay.reports import ReportQueue
from tests.unit.report_states import med
from tests.unit.served import Served, Told
from tests.unit.streams import DEVICES, event

VERDICTS = ["AGREED", "DISAGREED", "OPEN", "CANCELLED"]
sentences = st.lists(
    st.tuples(st.integers(0, 39), st.integers(0, 39), st.integers(0, 50), st.sampled_from(VERDICTS)), max_size=12
)
Sentence = tuple[int, int, int, str]
STATUSES = ["SETTLED", "SETTLED", "SETTLED", "REJECTED", "EXPIRED", "RETURNED", "RETURNED", "BLOCKED", "RELEASED"]
RETURNS = [f"D123456782026112114320000000000{i}" for i in range(3)]
told = st.builds(
    Told,
    st.integers(0, 39),
    st.integers(0, 39),
    st.sampled_from(STATUSES),
    st.integers(0, 90_000),
    st.sampled_from([0.3, 0.7, 1.0]),
    st.sampled_from(RETURNS),
)


def serve(
    count: int = 40,
    sentences: Sequence[Sentence] = (),
    outcomes: Sequence[Told] = (),
    decisions: str = "APPROVE",
    setting: str = "assumed",
    size: int = 3,
) -> Served:
    """Serve Pix among few accounts in batches, with the reports and outcomes about them.

    A sentence (after, about, minutes, verdict) is counted once `after` Pix have been asked for.
    """
    served = Served(setting)
    events = [
        event(
            *(i % 5, (i * 3 + 1) % 5, (i * 37) % 101, 1000 + 77 * i),
            end_to_end_id=f"E12345678202611241200{i:011d}",
            device_registered=i % 3 > 0,
            device_id=DEVICES[1],
        )
        for i in range(count)
    ]
    names = decisions.split()
    for start in range(0, count, size):
        batch = events[start : start + size]
        for after, about, minutes, verdict in sentences:
            if start <= after < start + size and about < start:
                served.report(med(verdict, minutes, f"m-{about}", events[about].end_to_end_id))
        for each in outcomes:
            if start <= each.after < start + size and each.about < start:
                served.tell(each)
        served.score(batch, [names[(start + i) % len(names)] for i in range(len(batch))])
    return served


def audit(rows: pa.Table, served: Served | None = None, start: State | None = None, size: int = 7) -> Audit:
    reports, changes = (served.reports, served.changes()) if served else ([], pa.table({}))
    queue = ChangeQueue([changes.slice(at, 5) for at in range(0, changes.num_rows, 5)])
    work = Audit(start or State.empty(), ReportQueue(reports), queue)
    for place in range(0, rows.num_rows, size):
        work.add(rows.slice(place, size), lambda scored_at: np.ones(len(scored_at), dtype=bool))
    return work


def changed(rows: pa.Table, column: str, place: int, change: Callable[[Any], object]) -> pa.Table:
    values = rows[column].to_pylist()
    values[place] = change(values[place])
    kind = rows.schema.field(column).type
    return rows.set_column(rows.column_names.index(column), column, pa.array(values, kind))


@settings(max_examples=40)
@given(sentences, st.lists(told, max_size=30), st.sampled_from(["assumed", "published"]), st.integers(1, 5))
def test_a_replay_counts_each_change_where_it_was_counted(
    sentences: Sequence[Sentence], outcomes: Sequence[Told], setting: str, size: int
) -> None:
    """Decisions, outcomes in any order, returns, and verdicts that are taken back."""
    served = serve(40, sentences, outcomes, "APPROVE APPROVE HOLD APPROVE REJECT", setting, size)
    work = audit(served.table(), served)
    assert work.comparison.rows == 40
    assert work.comparison.features == {}
    assert work.sequence.missing == 0


def test_a_missing_report_is_found() -> None:
    served = serve(sentences=[(20, 3, 0, "AGREED")])
    assert audit(served.table(), served).comparison.features == {}
    served.reports.clear()
    found = audit(served.table(), served).comparison.features
    assert any("fraud" in name for name in found)


def test_a_missing_outcome_is_found() -> None:
    served = serve(outcomes=[Told(20, 3, "RETURNED")])
    assert audit(served.table(), served).comparison.features == {}
    served.outcomes.clear()
    assert "payee_returned_share" in audit(served.table(), served).comparison.features


@pytest.mark.parametrize(("steps", "differs"), [(1, False), (8, True)])
def test_one_ulp_is_rounding_and_more_is_not(steps: int, differs: bool) -> None:
    served = serve()
    rows, column = served.table(), "f_payee_mean_7d"

    def later(value: float) -> float:
        for _ in range(steps):
            value = np.nextafter(np.float32(value), np.float32(np.inf))
        return float(value)

    work = audit(changed(rows, column, 30, later), served)
    assert list(work.comparison.features) == (["payee_mean_7d"] if differs else [])
    assert work.comparison.rounded >= (not differs)


def test_a_feature_missing_on_one_side_differs() -> None:
    served = serve()
    rows = served.table()
    found = audit(changed(rows, "f_payee_mean_7d", 30, lambda _: None), served).comparison.features["payee_mean_7d"]
    assert (found.rows, found.largest, found.ulp) == (1, None, None)
    assert found.end_to_end_id == rows["end_to_end_id"][30].as_py()


def test_rows_of_a_redelivery_are_equal_or_named() -> None:
    served = serve()
    again = served.table().take(pa.array([0, 1, 1, 1, *range(2, 14), 13, *range(14, 40)]))
    work = audit(again, served)
    assert (work.comparison.rows, work.sequence.duplicates, work.sequence.unequal) == (40, 3, [])
    work = audit(changed(again, "decision", 3, lambda _: "REJECT"), served)
    assert work.sequence.unequal == [again["history_sequence"][3].as_py()]
    assert work.comparison.features == {}


def test_two_transactions_at_one_place_are_named() -> None:
    served = serve()
    twice = served.table().take(pa.array([0, 1, 1, *range(2, 40)]))
    work = audit(changed(twice, "end_to_end_id", 2, lambda _: "E" + "0" * 31), served)
    assert (work.sequence.conflicts, work.sequence.unequal) == ([twice["history_sequence"][2].as_py()], [])


def test_a_missing_row_is_a_gap() -> None:
    served = serve()
    rows = served.table()
    work = audit(rows.take(pa.array([*range(10), *range(12, 20), *range(21, 40)])), served)
    assert work.sequence.missing == 3


def test_an_audit_continues_from_a_state() -> None:
    served = serve(
        sentences=[(5, 1, 0, "AGREED"), (30, 1, 9, "CANCELLED")],
        outcomes=[Told(9, 2, "RETURNED", share=0.5), Told(33, 2, "RETURNED", return_id=RETURNS[0])],
    )
    rows = served.table()
    first = audit(rows.slice(0, 21), served)
    last = rows["history_sequence"][20].as_py()
    start = first.state()._replace(sequence=last)
    work = audit(rows.slice(21), served, start=start)
    assert (work.comparison.rows, work.comparison.features) == (19, {})
    assert audit(rows.slice(21), served, start=State.empty()).comparison.features


def test_both_sides_of_a_pix_have_one_place() -> None:
    served = serve(9)
    mirror = msgspec.structs.replace(served.rows[8].event, side="PAYEE")
    served.score([mirror], ["APPROVE"])
    assert served.rows[-1].history_sequence == served.rows[8].history_sequence
    np.testing.assert_array_equal(served.rows[-1].features[1:5], served.rows[8].features[1:5])
    work = audit(served.table(), served)
    assert (work.sequence.unequal, work.sequence.conflicts, work.comparison.features) == ([], [], {})


@pytest.mark.parametrize("size", [1, 2, 100])
def test_both_sides_of_a_pix_are_compared_with_the_reads_of_their_place(size: int) -> None:
    served = serve(9)
    mirror = msgspec.structs.replace(served.rows[3].event, side="PAYEE")
    served.score([mirror], ["APPROVE"])
    rows = served.table()
    assert rows["side"].to_pylist()[3:5] == ["PAYER", "PAYEE"]
    work = audit(rows, served, size=size)
    assert (work.replayed, work.comparison.rows, work.comparison.features) == (9, 10, {})
    assert (work.sequence.duplicates, work.sequence.missing) == (0, 0)
    skewed = audit(changed(rows, "f_amount", 4, lambda amount: amount + 1), served, size=size)
    assert skewed.comparison.features["amount"].rows == 1


@pytest.mark.parametrize("size", [1, 100])
def test_a_redelivery_is_compared_with_its_own_side(size: int) -> None:
    served = serve(9)
    served.score([msgspec.structs.replace(served.rows[3].event, side="PAYEE")], ["APPROVE"])
    rows = served.table().take(pa.array([0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 8, 9]))
    work = audit(changed(rows, "decision", 6, lambda _: "REJECT"), served, size=size)
    assert (work.sequence.duplicates, work.sequence.unequal) == (2, [rows["history_sequence"][6].as_py()])
    assert (work.comparison.rows, work.comparison.features) == (10, {})
