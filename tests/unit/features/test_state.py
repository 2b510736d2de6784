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
from tests.unit.streams import events


@settings(max_examples=30)
@given(st.lists(events(), max_size=30), st.lists(events(), min_size=1, max_size=10))
def test_a_loaded_dump_continues_the_history(past: list[Event], future: list[Event]) -> None:
    history = MemoryHistory()
    history.observe(past)
    goes_on = MemoryHistory(history.state())
    for one, other in zip(history.observe(future), goes_on.observe(future), strict=True):
        np.testing.assert_array_equal(one, other)


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
