"""The recurrence of history, compiled: replays millions of transactions in the order in which they were counted.

It computes what `shared.features.history.MemoryHistory` computes, from the same facts and layouts, and starts from
and ends in the same `State`. Memory is bounded by the number of keys, not of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.features.arrays import Floats
from shared.features.columns import Columns
from shared.features.facts import AMOUNT, AT, AT_IF_NEW, NEW_DEVICE, NEW_PAYEE, ONE, Facts, VerdictCount
from shared.features.history import READ_WIDTH
from shared.features.keys import Keys
from shared.features.layout import (
    ACCOUNT,
    CONTACT,
    DEVICE,
    HOP,
    LAYOUTS,
    OFFSETS,
    PASSED,
    PASSED_FROM,
    RATES,
    TAINT,
    Layout,
)
from shared.features.state import Records, State
from shared.features.vector import feature_matrix
from shared.replay.kernel import index_all, replay_facts

CHUNK = 4096
"""Events that are replayed at once: few enough that their features stay in the processor's cache."""

_FIRST_CAPACITY = 1024
_KEYS_PER_FACT = (2, 2, 1)  # of LAYOUTS: accounts, contacts, devices


class Chunk(NamedTuple):
    """Events, and reports of which each is counted just before the event at its place in `before` (ascending)."""

    events: Columns
    reports: Sequence[VerdictCount] = ()
    before: Sequence[int] = ()


class Replay:
    """History that is built by replaying."""

    def __init__(self, state: State | None = None) -> None:
        state = state or State.empty()
        self.sequence = state.sequence
        self._tables = [_HashTable(layout, *records) for layout, records in zip(LAYOUTS, state.tables, strict=True)]

    def run(self, chunk: Chunk) -> NDArray[np.float32]:
        """Count a chunk; return the reads of history before each of its events [n, READ_WIDTH]."""
        facts, place = _merged(chunk)
        for table, most in zip(self._tables, _KEYS_PER_FACT, strict=True):
            table.make_room(most * len(facts))
        reads = np.full((len(chunk.events), READ_WIDTH), np.nan, dtype=np.float32)
        named = (facts.payer, facts.payee, facts.pair, facts.handset, facts.device)
        tables = tuple(table.arrays() for table in self._tables)
        replay_facts(named, facts.at, facts.weights, facts.marks, place, reads, tables, _PLANS, _Places(), RATES)
        self.sequence += len(chunk.events)
        return reads

    def state(self) -> State:
        """Return the current history, not a copy: later chunks change it."""
        return State(tuple(table.stored() for table in self._tables), self.sequence)


def replay_columns(chunks: Iterable[Chunk], replay: Replay) -> Iterator[tuple[Columns, NDArray[np.float32]]]:
    """Yield events with their feature vectors [n, F], at most CHUNK at once, given chunks of any size."""
    for chunk in chunks:
        for part in _split(chunk):
            yield part.events, feature_matrix(part.events, replay.run(part))


def _split(chunk: Chunk) -> Iterator[Chunk]:
    before, count = np.asarray(chunk.before, dtype=np.int64), len(chunk.events)
    for start in range(0, max(count, 1), CHUNK):
        stop = start + CHUNK
        last = stop >= count
        low, high = np.searchsorted(before, [start, count + 1 if last else stop]).tolist()
        yield Chunk(chunk.events[start:stop], chunk.reports[low:high], (before[low:high] - start).tolist())


def _merged(chunk: Chunk) -> tuple[Facts, NDArray[np.int64]]:
    """Return events and reports in one order, and the place of each among the events (-1: a report)."""
    facts, count = Facts.of_events(chunk.events), len(chunk.events)
    if not chunk.reports:
        return facts, np.arange(count)
    reports = Facts.of_reports(chunk.reports)
    place = np.concatenate((np.arange(count), np.full(len(reports), -1)))
    # A report at k sorts before event k and after event k - 1.
    order = np.argsort(np.concatenate((2 * np.arange(count) + 1, 2 * np.asarray(chunk.before))), kind="stable")
    return Facts.joined(facts, reports, order), place[order]


class _HashTable:
    """Records and an open-addressing index of their keys that compiled code can insert into."""

    def __init__(self, layout: Layout, keys: Keys, records: Floats) -> None:
        self._keys, self._records = keys.copy(), records.copy()
        self._blank = np.concatenate((np.full(layout.mark_count, -np.inf), np.zeros(len(layout.half_life))))
        self._used = np.array([len(keys)], dtype=np.int64)
        self._index = np.empty(0, dtype=np.int64)

    def make_room(self, more: int) -> None:
        """Make sure that `more` keys can be inserted."""
        used = int(self._used[0])
        if used + more > len(self._keys):
            capacity = max(used + more, len(self._keys) * 3 // 2, _FIRST_CAPACITY)
            self._keys, self._records = _grown(self._keys, used, capacity), _grown(self._records, used, capacity)
        if 2 * len(self._keys) > len(self._index):
            self._index = np.full(1 << (2 * len(self._keys) - 1).bit_length(), -1, dtype=np.int64)
            index_all(self._keys, used, self._index)

    def arrays(self) -> tuple[Any, ...]:
        """Return the arrays that the compiled code works on."""
        return self._index, self._keys, self._records, self._used, self._blank

    def stored(self) -> Records:
        """Return the records in use."""
        used = int(self._used[0])
        return Records(self._keys[:used], self._records[:used])


def _grown(values: NDArray[Any], used: int, capacity: int) -> NDArray[Any]:
    grown = np.empty((capacity, *values.shape[1:]), dtype=values.dtype)
    grown[:used] = values[:used]
    return grown


def _plan(role: str, read_as: str, layout: Layout) -> tuple[Any, ...]:
    """Return the layout of a role as arrays for the compiled code.

    In order: the half-life index of each counter, its offset in the reads, the factors of R and of the mark in the
    read of a mark, the columns that raise marks, and for each counter this role moves: index, half-life, weight.
    """
    weight = layout.weight_columns(role)
    moved = np.flatnonzero(weight)
    return (
        layout.half_life,
        OFFSETS[read_as],
        layout.from_now,
        layout.of_mark,
        layout.mark_columns(role),
        layout.mark_count + moved,
        layout.half_life[moved],
        weight[moved],
    )


_PAYER = _plan("payer", "payer", ACCOUNT)
_PAYEE = _plan("payee", "payee", ACCOUNT)
_PAIR = _plan("contact", "pair", CONTACT)
_HANDSET = _plan("contact", "handset", CONTACT)
_DEVICE = _plan("device", "device", DEVICE)
_PLANS = (_PAYER, _PAYEE, _PAIR, _HANDSET, _DEVICE)


class _Places(NamedTuple):
    """Columns that compiled code names. They are arguments, for the compiler's cache does not follow imports."""

    amount: int = AMOUNT
    one: int = ONE
    new_payee: int = NEW_PAYEE
    new_device: int = NEW_DEVICE
    at: int = AT
    at_if_new: int = AT_IF_NEW
    marks: int = ACCOUNT.mark_count
    passed: int = PASSED.start
    passed_end: int = PASSED.stop
    passed_from: int = PASSED_FROM.start
    taint: int = TAINT.start
    taint_end: int = TAINT.stop
    hop: float = HOP
