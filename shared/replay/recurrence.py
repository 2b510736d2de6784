"""The recurrence of history, compiled: replays millions of transactions in the order in which they were counted.

It computes what `shared.features.history.MemoryHistory` computes, from the same facts and layouts, and starts from
and ends in the same `State`. Memory is bounded by the number of keys, not of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shared.contract.event import Event
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
        _replay(named, facts.at, facts.weights, facts.marks, place, reads, tables, _PLANS, _Places(), RATES)
        self.sequence += len(chunk.events)
        return reads

    def state(self) -> State:
        """Return the current history, not a copy: later chunks change it."""
        return State(tuple(table.stored() for table in self._tables), self.sequence)


def replay_events(
    items: Iterable[Event | VerdictCount], replay: Replay, size: int = CHUNK
) -> Iterator[tuple[list[Event], NDArray[np.float32]]]:
    """Yield events with their feature vectors [n, F], given events and reports in the order they were counted."""
    for events, reports, before in _grouped(items, size):
        columns = Columns.of(events)
        yield events, feature_matrix(columns, replay.run(Chunk(columns, reports, before)))


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


def _grouped(
    items: Iterable[Event | VerdictCount], size: int
) -> Iterator[tuple[list[Event], list[VerdictCount], list[int]]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        events: list[Event] = []
        reports: list[VerdictCount] = []
        before: list[int] = []
        for item in batch:
            if isinstance(item, VerdictCount):
                reports.append(item)
                before.append(len(events))
            else:
                events.append(item)
        yield events, reports, before


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
            _index_all(self._keys, used, self._index)

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

    That is: the half-life of each counter, where it is read, how marks read (times R, times mark), what marks are
    raised to, and only of the counters that this role moves: which, with which half-life, by which weight.
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


@njit(cache=True)
def _slot(index, keys, key):  # type: ignore[no-untyped-def]
    """Return the slot that holds the key's row, or the free one where it belongs."""
    mask = np.uint64(len(index) - 1)
    slot = (key >> np.uint64(1)) & mask  # keys are odd and well mixed
    while index[slot] >= 0 and keys[index[slot]] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True)
def _index_all(keys, used, index):  # type: ignore[no-untyped-def]
    for row in range(used):
        index[_slot(index, keys, keys[row])] = row


@njit(cache=True)
def _row(index, keys, records, used, blank, key):  # type: ignore[no-untyped-def]
    """Return the key's row, and whether it had to be made."""
    slot = _slot(index, keys, key)
    if index[slot] >= 0:
        return index[slot], False
    row = used[0]
    used[0] += 1
    index[slot] = row
    keys[row] = key
    for i in range(len(blank)):
        records[row, i] = blank[i]
    return row, True


@njit(cache=True, inline="always")
def _powers(seconds, rates, decay):  # type: ignore[no-untyped-def]
    """Write 2^(-seconds / half-life) of each half-life into `decay`."""
    for i in range(len(rates)):
        decay[i] = np.exp2(-seconds * rates[i]) if seconds > 0.0 else 1.0


@njit(cache=True, inline="always")
def _advance(records, row, at, half_life, rates, decay):  # type: ignore[no-untyped-def]
    """Decay a record to R = max(T, at), and return R."""
    touched = records[row, 0]
    if at <= touched:
        return touched
    _powers(at - touched, rates, decay)
    marks = records.shape[1] - len(half_life)
    for i in range(len(half_life)):
        records[row, marks + i] *= decay[half_life[i]]
    records[row, 0] = at
    return at


@njit(cache=True, inline="always")
def _read(records, row, touched, reached, plan, reads, place):  # type: ignore[no-untyped-def]
    """Write a record's values at R into a row of reads; `touched` is its T before it was advanced."""
    _, start, from_now, of_mark, _, _, _, _ = plan
    marks = len(from_now)
    for i in range(marks):
        mark = touched if i == 0 else records[row, i]
        reads[place, start + i] = np.nan if np.isinf(mark) else reached * from_now[i] + mark * of_mark[i]
    for i in range(marks, records.shape[1]):
        reads[place, start + i] = records[row, i]


@njit(cache=True, inline="always")
def _add(records, row, weights, marks, event, plan, decay):  # type: ignore[no-untyped-def]
    """Add an event's weights, decayed from its time to R, to a record, and raise the marks."""
    _, _, _, _, raised, moved, half_life, weight = plan
    for i in range(len(raised)):
        records[row, i] = max(records[row, i], marks[event, raised[i]])
    for i in range(len(moved)):
        records[row, moved[i]] += weights[event, weight[i]] * decay[half_life[i]]


@njit(cache=True, inline="always")
def _count(table, key, at, weights, marks, event, plan, rates, decay, reads, place):  # type: ignore[no-untyped-def]
    """Read a record, then count the event in it; return whether the record is new."""
    index, keys, records, used, blank = table
    row, new = _row(index, keys, records, used, blank, key)
    touched = records[row, 0]
    reached = _advance(records, row, at, plan[0], rates, decay)
    if place >= 0:
        _read(records, row, touched, reached, plan, reads, place)
    _powers(reached - at, rates, decay)
    _add(records, row, weights, marks, event, plan, decay)
    return new


@njit(cache=True, inline="always")
def _count_accounts(table, keys, at, weights, marks, event, plans, p, rates, decay, reads, place):  # type: ignore[no-untyped-def]
    """Read the payer's and the payee's record, which may be one, then count the event in both."""
    index, known, records, used, blank = table
    half_life = plans[0][0]
    payer, _ = _row(index, known, records, used, blank, keys[0][event])
    payee, _ = _row(index, known, records, used, blank, keys[1][event])
    sent_at, received_at = records[payer, 0], records[payee, 0]
    paying = _advance(records, payer, at, plans[0][0], rates, decay)
    paid = _advance(records, payee, at, plans[0][0], rates, decay)
    if place >= 0:
        _read(records, payer, sent_at, paying, plans[0], reads, place)
        _read(records, payee, received_at, paid, plans[1], reads, place)
    _powers(paying - at, rates, decay)
    for i in range(p.passed_end - p.passed):
        passed = min(weights[event, p.amount], records[payer, p.marks + p.passed_from + i])
        records[payer, p.marks + p.passed + i] += passed * decay[half_life[p.passed + i]]
    _add(records, payer, weights, marks, event, plans[0], decay)
    _powers(paid - at, rates, decay)
    for i in range(p.taint, p.taint_end):
        handed = p.hop * weights[event, p.one] * min(max(records[payer, p.marks + i], 0.0), 1.0)
        records[payee, p.marks + i] += handed * decay[half_life[i]]
    _add(records, payee, weights, marks, event, plans[1], decay)


@njit(cache=True)
def _replay(keys, at, weights, marks, place, reads, tables, plans, p, rates):  # type: ignore[no-untyped-def]
    """Count facts one after the other; where `place` is not -1, read history into that row of `reads` first."""
    accounts, contacts, devices = tables
    decay = np.empty(len(rates))
    for i in range(len(at)):
        t, to = at[i], place[i]
        if keys[2][i] and _count(contacts, keys[2][i], t, weights, marks, i, plans[2], rates, decay, reads, to):
            weights[i, p.new_payee] = 1.0
            marks[i, p.at_if_new] = marks[i, p.at]
        if keys[3][i] and _count(contacts, keys[3][i], t, weights, marks, i, plans[3], rates, decay, reads, to):
            weights[i, p.new_device] = 1.0
        if keys[4][i]:
            _count(devices, keys[4][i], t, weights, marks, i, plans[4], rates, decay, reads, to)
        _count_accounts(accounts, keys, t, weights, marks, i, plans, p, rates, decay, reads, to)
