"""History in memory agrees with plain Python."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.features.columns import Columns
from shared.features.history import READ_NAMES, READ_WIDTH, MemoryHistory
from shared.features.state import State
from tests.unit.lives import live, settle
from tests.unit.reference_comparison import Stream, assert_same_reads, assert_same_records, by_reference
from tests.unit.streams import MORNING, Attempt, event, events, report, streams


def by_memory(stream: Stream) -> tuple[NDArray[np.float32], State]:
    history = MemoryHistory()
    return live(history, stream), history.state()


@settings(max_examples=150)
@given(streams)
def test_memory_equals_plain_python(stream: Stream) -> None:
    reads, state = by_memory(stream)
    expected, history = by_reference(stream)
    assert_same_reads(reads, expected)
    assert_same_records(state, history)


@settings(max_examples=100)
@given(st.lists(events(), max_size=60), st.integers(1, 64))
def test_a_batch_of_asks_equals_single_asks(stream: list[Event], size: int) -> None:
    one, other = MemoryHistory(), MemoryHistory()
    batches = [one.observe(stream[start : start + size])[0] for start in range(0, len(stream), size)]
    single = [other.observe([each])[0] for each in stream]
    assert_same_reads(_joined(batches), _joined(single))
    assert_same_tables(one.state(), other.state())


@settings(max_examples=50)
@given(st.lists(events(), min_size=1, max_size=60))
def test_settlements_counted_together_equal_single_ones(stream: list[Event]) -> None:
    columns = Columns.of(stream)
    one, other = MemoryHistory(), MemoryHistory()
    reads = one.observe(columns)[0]
    other.observe(columns)
    settle(one, columns, reads)
    for i in range(len(stream)):
        settle(other, columns[i : i + 1], reads[i : i + 1])
    assert_same_tables(one.state(), other.state())


def _joined(reads: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([np.empty((0, READ_WIDTH), np.float32), *reads])


def assert_same_tables(one: State, other: State, tolerance: float = 1.2e-7) -> None:
    """Agree to one unit in the last place of float32, or to that of as many facts as the tolerance allows."""
    for (keys, records), (other_keys, other_records) in zip(one.tables, other.tables, strict=True):
        assert sorted(keys.tolist()) == sorted(other_keys.tolist())
        np.testing.assert_allclose(
            records[np.argsort(keys)], other_records[np.argsort(other_keys)], rtol=tolerance, atol=tolerance
        )


@settings(max_examples=50)
@given(st.lists(events(), min_size=2, max_size=30), st.randoms(use_true_random=False))
def test_order_of_arrival_changes_the_counters_by_rounding_alone(stream: Stream, random: Random) -> None:
    shuffled = list(stream)
    random.shuffle(shuffled)
    one, other = MemoryHistory(), MemoryHistory()
    one.observe([item for item in stream if isinstance(item, Event)])
    other.observe([item for item in shuffled if isinstance(item, Event)])
    assert_same_tables(one.state(), other.state(), 1e-5)


@given(streams, st.booleans(), st.integers(0, 100_000))
@settings(max_examples=50)
def test_a_withdrawn_report_leaves_no_trace_but_rounding(stream: Stream, fraud: bool, seconds: int) -> None:
    history = MemoryHistory()
    live(history, [event(0, 1, 200_000, device_id=None), *stream])
    before = history.state().tables[0].records.copy()
    live(history, [report(0, 1, seconds, fraud), report(0, 1, seconds, fraud, sign=-1)])
    np.testing.assert_allclose(history.state().tables[0].records, before, rtol=1e-6, atol=1e-6)


def test_reads_are_named_once_each() -> None:
    assert len(set(READ_NAMES)) == READ_WIDTH


def test_taint_follows_a_chain_of_settlements() -> None:
    reads = live(MemoryHistory(), [report(4, 0), event(0, 1), event(1, 2), event(2, 3)])
    assert reads[:, READ_NAMES.index("payer_taint_30d")].tolist() == [1.0, 0.5, 0.25]


def test_attempts_leave_no_trace_in_what_was_paid() -> None:
    reads = live(MemoryHistory(), [event(0, 1), Attempt(event(0, 2, 1, 999_999_999)), event(0, 2, 2)])[-1]
    read = dict(zip(READ_NAMES, reads.tolist(), strict=True))
    assert (read["payer_largest_sent"], read["pair_count_30d"]) == (100, 0)
    assert read["payer_sent_count_1h"] == pytest.approx(1, abs=1e-3)
    assert read["payer_asked_out_1h"] == pytest.approx(2, abs=1e-3)


def test_sums_of_a_day_are_exact_and_end_at_local_midnight() -> None:
    midnight = 1_795_000_000 - (1_795_000_000 - 3 * 3600) % 86_400 - MORNING * 1e-6
    stream = [event(0, 1, midnight + at, 19_900) for at in (-7200, -3600, -1, 1, 2)]
    reads = live(MemoryHistory(), stream)[:, READ_NAMES.index("payer_limit_day")]
    assert reads.tolist() == [0, 19_900, 39_800, 0, 19_900]


def test_a_pix_of_the_day_before_finds_no_sum() -> None:
    midnight = 1_795_000_000 - (1_795_000_000 - 3 * 3600) % 86_400 - MORNING * 1e-6
    reads = live(MemoryHistory(), [event(0, 1, midnight + 1), event(0, 1, midnight - 1)])
    assert np.isnan(reads[1, READ_NAMES.index("payer_limit_day")])
