"""Stored states of history: loaded whole, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.event import Event
from shared.errors import Misconfigured
from shared.features.history import MemoryHistory
from shared.features.layout import CONTACT, LAYOUTS
from shared.features.state import State
from tests.unit.streams import event, events


@settings(max_examples=30)
@given(st.lists(events(), max_size=30), st.lists(events(), min_size=1, max_size=10))
def test_a_loaded_dump_continues_the_history(past: list[Event], future: list[Event]) -> None:
    history = MemoryHistory()
    history.observe(past)
    goes_on = MemoryHistory(history.state())
    for one, other in zip(history.observe(future), goes_on.observe(future), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_records_of_shards_are_those_of_all() -> None:
    one, other = (MemoryHistory() for _ in range(2))
    one.observe([event(0, 1, 10)])
    other.observe([event(2, 3, 20), event(3, 2, 30)])
    states = one.state(), other.state()
    joined = State.joined(states)
    assert joined.places == (states[0].sequence, states[1].sequence)
    for table, *parts in zip(joined.tables, *(state.tables for state in states), strict=True):
        assert table.keys.tolist() == [key for part in parts for key in part.keys.tolist()]
        np.testing.assert_array_equal(table.records, np.concatenate([part.records for part in parts]))
    assert len(joined.payers) == len(joined.contacts.keys)
    assert State.joined(states[:1]) is states[0]


def test_records_that_nothing_touched_are_left_out_but_contacts_stay_with_their_payer() -> None:
    """Of three contacts the first payer has touched one lately, the other payer none."""
    empty = State.empty()
    tables = []
    for layout, none in zip(LAYOUTS, empty.tables, strict=True):
        records = np.tile(layout.blank, (3, 1))
        records[:, 0] = [100.0, 500.0, 100.0]
        tables.append(none._replace(keys=np.arange(1, 4, dtype=np.uint64), records=records))
    state = empty._replace(tables=tuple(tables), payers=np.array([10, 10, 20], dtype=np.uint64))
    kept = state.used_since(200.0)
    assert {layout.kind: table.keys.tolist() for layout, table in zip(LAYOUTS, kept.tables, strict=True)} == {
        layout.kind: [1, 2] if layout is CONTACT else [2] for layout in LAYOUTS
    }
    assert kept.payers.tolist() == [10, 10]
    assert [len(table.keys) for table in state.used_since(100.0).tables] == [3] * len(LAYOUTS)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 nonsense"])
def test_a_file_that_holds_no_state_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "history.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Misconfigured):
        MemoryHistory.load(path)


def test_a_state_of_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.npz"
    np.savez(path, allow_pickle=False, layout=np.array("another"), sequence=np.array(0))
    with pytest.raises(Misconfigured, match="layout"):
        MemoryHistory.load(path)
