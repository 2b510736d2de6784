"""History in memory behind its port: claims, redeliveries, and a state from a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.contract.event import Event
from shared.features.columns import Events
from shared.features.history import READ_WIDTH, MemoryHistory
from shared.ports.history import Claim, Observations
from shared.replay.recurrence import Replay
from tests.unit.lives import live
from tests.unit.streams import event, report

FIRST, LATER = Claim("v1", 1), Claim("v2", 2)


def observe(history: MemoryHistoryAdapter, seen: list[Event], claim: Claim = FIRST) -> Observations:
    return asyncio.run(history.observe(Events(seen), claim))


def test_a_redelivery_gets_the_first_answer_and_does_not_count() -> None:
    history, one = MemoryHistoryAdapter(), event(0, 1)
    first = observe(history, [event(0, 1), one])
    again = observe(history, [one, event(0, 1)], LATER)
    np.testing.assert_array_equal(again.reads[0], first.reads[1])
    assert again.sequence.tolist() == [2, 3]
    assert again.claims == [FIRST, LATER]
    assert history.history.sequence == 3


def test_a_transaction_twice_in_one_batch_counts_once() -> None:
    history, one = MemoryHistoryAdapter(), event(0, 1)
    seen = observe(history, [one, event(2, 1), one])
    np.testing.assert_array_equal(seen.reads[0], seen.reads[2])
    assert seen.sequence.tolist() == [1, 2, 1]


def test_the_oldest_life_is_forgotten_first() -> None:
    history = MemoryHistoryAdapter(lives=3)
    batch = [event(0, 1, i) for i in range(4)]
    observe(history, batch[:3])
    observe(history, batch[3:])
    assert observe(history, batch[1:], LATER).claims == [FIRST] * 3
    assert observe(history, batch[:1], LATER).claims == [LATER]


def test_a_batch_larger_than_the_lives_kept_is_complete() -> None:
    batch = [event(i % 5, (i + 1) % 5, i) for i in range(20)]
    seen = observe(MemoryHistoryAdapter(lives=7), batch)
    expected, _ = MemoryHistory().observe(batch)
    np.testing.assert_allclose(seen.reads, expected, rtol=1.2e-7, atol=1e-7)
    assert seen.sequence.tolist() == list(range(1, 21))


def test_no_events_give_no_reads() -> None:
    seen = observe(MemoryHistoryAdapter(), [])
    assert (seen.reads.shape, seen.claims) == ((0, READ_WIDTH), [])


def test_a_replayed_state_is_loaded_from_its_file(tmp_path: Path) -> None:
    past, path = [event(0, 1), event(1, 2, 5)], tmp_path / "history.npz"
    history = MemoryHistory()
    live(history, [*past, report(0, 1)])
    Replay(history.state()).state().dump(path)
    one, other = history.observe([event(0, 1, 9)]), MemoryHistoryAdapter.load(path).history.observe([event(0, 1, 9)])
    np.testing.assert_array_equal(one[0], other[0])
    assert one[1].tolist() == other[1].tolist() == [3]
