"""History in memory agrees with plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.features.facts import VerdictCount
from shared.features.history import READ_NAMES, READ_WIDTH, MemoryHistory
from shared.features.layout import LAYOUTS
from shared.features.state import State
from tests.unit.reference_comparison import Stream, assert_same_reads, assert_same_records, by_reference
from tests.unit.streams import event, events, report, streams


def by_memory(stream: Stream, size: int) -> tuple[NDArray[np.float32], State]:
    history, reads = MemoryHistory(), [np.empty((0, READ_WIDTH), np.float32)]
    for batch in batches(stream, size):
        if isinstance(batch[0], VerdictCount):
            history.report([item for item in batch if isinstance(item, VerdictCount)])
        else:
            reads.append(history.observe([item for item in batch if isinstance(item, Event)])[0])
    return np.concatenate(reads), history.state()


def batches(stream: Stream, size: int) -> Iterator[Stream]:
    for _, run in groupby(stream, type):
        items = list(run)
        yield from (items[i : i + size] for i in range(0, len(items), size))


@settings(max_examples=150)
@given(streams, st.integers(1, 64))
def test_batches_in_memory_equal_single_events_in_plain_python(stream: Stream, size: int) -> None:
    reads, state = by_memory(stream, size)
    expected, history = by_reference(stream)
    assert_same_reads(reads, expected)
    assert_same_records(state, history)


@settings(max_examples=50)
@given(st.lists(events(), min_size=2, max_size=30), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_change_the_counters(stream: Stream, random: object) -> None:
    shuffled = list(stream)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = MemoryHistory(), MemoryHistory()
    one.observe([item for item in stream if isinstance(item, Event)])
    other.observe([item for item in shuffled if isinstance(item, Event)])
    names = LAYOUTS[0].names
    kept = [i for i, n in enumerate(names) if not n.startswith(("passed", "last_new", "sent_new", "received_new"))]
    (keys, records), (other_keys, other_records) = one.state().tables[0], other.state().tables[0]
    np.testing.assert_allclose(
        records[np.argsort(keys)][:, kept], other_records[np.argsort(other_keys)][:, kept], rtol=1e-9, atol=1e-9
    )


@given(streams, st.booleans(), st.integers(0, 100_000))
@settings(max_examples=50)
def test_a_withdrawn_report_leaves_no_trace(stream: Stream, fraud: bool, seconds: int) -> None:
    history = MemoryHistory()
    history.observe([event(0, 1, 200_000, device_id=None), *[item for item in stream if isinstance(item, Event)]])
    before = history.state().tables[0].records.copy()
    history.report([report(0, 1, seconds, fraud)])
    history.report([report(0, 1, seconds, fraud, sign=-1)])
    np.testing.assert_allclose(history.state().tables[0].records, before, rtol=1e-9, atol=1e-9)


def test_reads_are_named_once_each() -> None:
    assert len(set(READ_NAMES)) == READ_WIDTH


def test_taint_follows_a_chain_of_transfers_within_a_batch() -> None:
    history = MemoryHistory()
    history.report([report(4, 0)])
    reads, _ = history.observe([event(0, 1), event(1, 2), event(2, 3)])
    taint = reads[:, READ_NAMES.index("payer_taint_30d")]
    assert taint.tolist() == [1.0, 0.5, 0.25]
