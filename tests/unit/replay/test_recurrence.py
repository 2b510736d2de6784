"""The compiled recurrence agrees with plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.features.history import READ_WIDTH, MemoryHistory
from shared.features.state import State
from shared.replay.recurrence import Replay
from tests.unit.lives import chunk_of, live
from tests.unit.reference_comparison import Stream, assert_same_reads, assert_same_records, by_reference
from tests.unit.streams import streams


def by_replay(stream: Stream, size: int) -> tuple[NDArray[np.float32], State]:
    replay = Replay()
    reads = [replay.run(chunk_of(stream[start : start + size])) for start in range(0, len(stream), size)]
    return np.concatenate([np.empty((0, READ_WIDTH), np.float32), *reads]), replay.state()


@settings(max_examples=150)
@given(streams, st.integers(1, 64))
def test_compiled_replay_equals_plain_python(stream: Stream, size: int) -> None:
    reads, state = by_replay(stream, size)
    expected, history = by_reference(stream)
    assert_same_reads(reads, expected)
    assert_same_records(state, history)


@settings(max_examples=50)
@given(streams, streams)
def test_memory_continues_from_the_state_of_a_replay(past: Stream, future: Stream) -> None:
    replay = Replay()
    replay.run(chunk_of(past))
    found = live(MemoryHistory(replay.state()), future)
    expected, _ = by_reference(past + future)
    assert_same_reads(found, expected[len(expected) - len(found) :])
