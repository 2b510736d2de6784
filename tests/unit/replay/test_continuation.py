"""A replay that continues from a state equals one from the start, wherever it is cut, and misses no change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.event import micros
from shared.features.state import State
from shared.replay.changes import ChangeQueue
from shared.replay.mark import Cut, Patience, PlacedChanges, mark_of
from shared.replay.reports import ReportQueue
from shared.replay.run import ReplayRun, Sinks
from shared.replay.sources import StoredRows
from shared.scoring.rules import Rules
from tests.unit.replay.test_audit import Sentence, sentences, serve, told
from tests.unit.replays import records
from tests.unit.served import Served, Told

LAST = np.iinfo(np.int64).max
NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
SECOND = 1_000_000
PATIENCE = Patience(dt.timedelta(minutes=10), dt.timedelta(hours=6))
RULES = Rules.load()


class Replayed(NamedTuple):
    """The result of a replay, in an order of its own."""

    records: list[tuple[int, int, bytes]]
    values: dict[str, bytes]
    state: State


def replayed(served: Served, start: State, until: int = LAST) -> Replayed:
    """Replay the rows after a state up to a place, from Pix, changes and reports in memory."""
    rows, changes = served.table(), served.changes()
    places = rows["history_sequence"]
    rows = rows.filter(pc.and_(pc.greater(places, start.sequence), pc.less_equal(places, until)))
    queue = ReportQueue(served.reports, True, until)
    told = ChangeQueue([changes.filter(pc.less_equal(changes["place"], until))])
    if start.sequence:
        queue.skip(start.sequence)
        told.skip(start.sequence)
    source = StoredRows(lambda done: pieces(rows.slice(done)), queue, True, None, told, min(until, last(served)))
    run = ReplayRun(source, Sinks(None, None, None), RULES, 1, start)
    run.run(lambda _: None)
    return Replayed(sorted(records(run.state())), source.verdicts.encoded(), run.state())


def pieces(rows: pa.Table) -> Iterable[pa.Table]:
    return (rows.slice(at, 7) for at in range(0, rows.num_rows, 7))


def asks(served: Served) -> list[int]:
    return sorted({row.history_sequence or 0 for row in served.rows})


def last(served: Served) -> int:
    own = [row.history_sequence or 0 for row in served.outcomes] + [each.place for each in served.reports]
    return max(asks(served)[-1], *(row.decided_sequence or 0 for row in served.rows), *own, 0)


@settings(max_examples=30, deadline=None)
@given(
    sentences,
    st.lists(told, max_size=30),
    st.sampled_from(["assumed", "published"]),
    st.lists(st.integers(0, 39), min_size=1, max_size=3),
)
def test_a_continued_replay_equals_a_full_one(
    said: Sequence[Sentence], outcomes: Sequence[Told], setting: str, cuts: Sequence[int]
) -> None:
    """Decisions, outcomes in any order, returns, and verdicts that are taken back, cut before some asks."""
    served = serve(40, said, outcomes, "APPROVE APPROVE HOLD APPROVE REJECT", setting)
    expected, state = replayed(served, State.empty()), State.empty()
    for cut in sorted({asks(served)[each] - 1 for each in cuts}):
        state = replayed(served, state, cut).state
        assert state.sequence == cut
    found = replayed(served, state)
    assert found.records == expected.records
    assert found.values == expected.values
    assert found.state.sequence == expected.state.sequence


def counted(*changes: tuple[int, float, bool]) -> list[PlacedChanges]:
    """Return changes by place, hours before NOW, and whether it is an ask, in parts of two."""
    found = [
        PlacedChanges(np.array([place]), np.array([micros(NOW) + round(-hours * 3600) * SECOND]), np.array([ask]))
        for place, hours, ask in changes
    ]
    return [
        PlacedChanges(*(np.concatenate(each) for each in zip(*found[at : at + 2], strict=True)))
        for at in range(0, len(found), 2)
    ]


E1, E2 = 5 << 32, 9 << 32


@pytest.mark.parametrize(
    ("changes", "start", "expected"),
    [
        ([], 0, Cut(0, 0)),
        ([(1, 9, True), (2, 9, False), (3, 9, True), (4, 9, False)], 0, Cut(2, 0)),
        ([(1, 9, True), (2, 9, False), (3, 9, True), (4, 0.1, True)], 0, Cut(2, 0)),
        ([(1, 9, True), (2, 9, True), (4, 3, True), (5, 3, True)], 0, Cut(1, 0)),
        ([(1, 9, True), (2, 9, True), (4, 7, True), (5, 3, True)], 0, Cut(4, 1)),
        ([(2, 9, True), (3, 3, True)], 0, Cut(2, 1)),
        ([(E1 + 1, 9, True), (E1 + 2, 9, True), (E1 + 3, 9, True)], 0, Cut(E1 + 2, 0)),
        ([(E1 + 8, 9, True), (E1 + 9, 9, True), (E2 + 1, 3, True), (E2 + 2, 3, True)], E1 + 7, Cut(E1 + 8, 0)),
        ([(E1 + 8, 9, True), (E1 + 9, 9, True), (E2 + 1, 7, True), (E2 + 2, 3, True)], E1 + 7, Cut(E2 + 1, 1)),
    ],
    ids=[
        "none",
        "complete",
        "young",
        "missing",
        "missing-for-long",
        "first-missing",
        "epoch",
        "new-epoch",
        "old-epoch",
    ],
)
def test_history_is_cut_before_the_first_missing_place(
    changes: list[tuple[int, float, bool]], start: int, expected: Cut
) -> None:
    assert mark_of(counted(*changes), start, PATIENCE, NOW) == expected
