"""Records of one kind in one growing array, and the recurrence on many of them at once."""

from __future__ import annotations

import numpy as np

from shared.features.arrays import Floats
from shared.features.index import Index, Rows
from shared.features.keys import Keys
from shared.features.layout import CONTACT, NEW, SEEN_BY, SEEN_READS, Layout, periods

_FIRST_CAPACITY = 1024
_GROWTH = 1.5
_FULL = 0.9  # of its capacity: then the move to a larger array begins
_MOVED = 16  # records for each that is new, so that all have moved before the old array is full


class RecordTable:
    """Records [capacity, layout.width] and the row of each key.

    They move to a larger array in steps: moving a hundred thousand accounts at once took 40 ms, which delayed one
    batch and every batch queued behind it.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._index = Index()
        self.records: Floats = np.empty((_FIRST_CAPACITY, layout.width))
        self.payers: Keys = np.zeros(_FIRST_CAPACITY if layout is CONTACT else 0, dtype=np.uint64)
        """The payer of each contact, by row; empty for other layouts."""
        self._larger: Floats | None = None
        self._moved = 0

    def __len__(self) -> int:
        return len(self._index)

    def fill(self, keys: Keys, records: Floats, payers: Keys) -> None:
        """Replace all records with a copy of these, of which contacts have payers."""
        self._index = Index(keys)
        self.records = np.empty((max(_FIRST_CAPACITY, int(len(records) * _GROWTH)), self.layout.width))
        self.records[: len(records)] = records
        self._larger = None
        if self.layout is CONTACT:
            self.payers = payers.copy()

    def keys(self) -> Keys:
        """Return the keys in the order of their rows."""
        return self._index.keys()

    def rows(self, keys: Keys) -> tuple[Rows, list[int]]:
        """Return the row of each key, added if new, and the indexes of the new keys in `keys`."""
        used = len(self._index)
        rows, new = self._index.rows(keys)
        if new:
            self._make_room(used)
        return rows, new

    def name_payers(self, rows: Rows, payers: Keys) -> None:
        """Note the payers [n] of contacts."""
        if len(self._index) > len(self.payers):
            self.payers = np.resize(self.payers, int(len(self._index) * _GROWTH))
        self.payers[rows] = payers

    def find(self, keys: Keys) -> Floats:
        """Return a copy of the record [n, layout.width] of each key, a blank one where there is none."""
        rows = self._index.find(keys)
        found = self.records.take(rows, axis=0)
        found[rows < 0] = self.layout.blank
        return found

    def put(self, rows: Rows, records: Floats) -> None:
        """Write records; the last one wins where rows repeat."""
        self.records[rows] = records
        if self._larger is not None:
            moved = rows < self._moved  # the rest are copied as they move; until then their pages stay untouched
            self._larger[rows[moved]] = records[moved]

    def _make_room(self, used: int) -> None:
        """Make room for all keys, the first `used` of which have a record already."""
        size, capacity = len(self._index), len(self.records)
        if size > _FULL * capacity and (self._larger is None or size > len(self._larger)):
            self._larger, self._moved = np.empty((max(size, int(capacity * _GROWTH)), self.layout.width)), 0
        if self._larger is not None:
            until = used if size > capacity else min(used, self._moved + _MOVED * (size - used))
            self._larger[self._moved : until] = self.records[self._moved : until]
            self._moved = until
            if until == used:
                self.records, self._larger = self._larger, None
        self.records[used:size] = self.layout.blank


class Touch:
    """Facts one after the other on the records of a table that they change.

    There are m slots, one for each record that a fact changes, in the order of the facts: `rows` [m] is its record,
    `at` [m] the time, `raised` [m, marks] the marks to raise to and `weights` [m, counters] the weights to add. All
    slots are computed at once, as if each record had one; then the second of each record, from the first, and so on.
    `raised` and `weights` are changed in place.
    """

    def __init__(self, table: RecordTable, rows: Rows, at: Floats, raised: Floats, weights: Floats) -> None:
        layout = table.layout
        self._layout, self._at, self._raised, self._own = layout, at, raised, weights
        self._found = table.records.take(rows, axis=0)
        last, turns = _turns(rows)
        self._times(turns)
        self._left = layout.decay(self._before, self._reached)
        late = (self._reached > at).nonzero()[0]
        if len(late):  # a fact in time has all of its weight
            weights[late] *= layout.decay(at[late], self._reached[late])
        if np.isfinite(layout.lasts):
            self._forget()
        self._after = np.empty_like(self._found)
        self._add(self._found, slice(None), self._after)
        for slots, earlier in turns:
            before, after = self._after[earlier], np.empty((len(slots), layout.width))
            self._add(before, slots, after)
            self._found[slots], self._after[slots] = before, after
        table.put(rows[last], self._after[last])

    def reads(self) -> Floats:
        """Return the reads [m, layout.width] before each fact; this ends its use."""
        return reads_of(self._layout, self._found, self._reached, self._at)

    def _times(self, turns: list[tuple[Rows, Rows]]) -> None:
        """Compute T before and R after each fact."""
        self._before = self._found[:, 0].copy()
        self._reached = np.maximum(self._before, self._at)
        for slots, earlier in turns:
            self._before[slots] = self._reached[earlier]
            self._reached[slots] = np.maximum(self._before[slots], self._at[slots])

    def _forget(self) -> None:
        """Let records start again that are forgotten by then, and leave out facts that come as late."""
        forgotten = self._reached - self._before > self._layout.lasts
        late = self._reached - self._at > self._layout.lasts
        self._left[forgotten], self._own[late], self._raised[late] = 0.0, 0.0, -np.inf
        self._start = np.where(forgotten[:, None], -np.inf, np.inf)
        """The greatest value of the marks of each slot before its fact."""

    def _add(self, before: Floats, slots: Rows | slice, after: Floats) -> None:
        """Decay the records `before` the facts of some slots, in place, and write those `after` them."""
        count = self._layout.mark_count
        marks, counters = before[:, :count], before[:, count:]
        if np.isfinite(self._layout.lasts):
            np.minimum(marks, self._start[slots], out=marks)
        counters *= self._left[slots]
        np.maximum(marks, self._raised[slots], out=after[:, :count])
        np.add(counters, self._own[slots], out=after[:, count:])
        self._layout.round(after)


def _turns(rows: Rows) -> tuple[Rows | slice, list[tuple[Rows, Rows]]]:
    """Return the last slot of each row, and the slots of its second, third, ... turn, each with the slot before.

    >>> _turns(np.array([5, 3, 5, 9]))
    (array([1, 2, 3]), [(array([2]), array([0]))])
    >>> _turns(np.array([5, 3]))
    (slice(None, None, None), [])
    """
    order = rows.argsort(kind="stable")
    ascending = rows[order]
    other = ascending[1:] != ascending[:-1]
    if other.all():
        return slice(None), []
    ordinal = _ordinals(ascending)
    turns = [(ordinal == turn).nonzero()[0] for turn in range(1, int(ordinal.max()) + 1)]
    return order[np.append(other, True)], [(order[turn], order[turn - 1]) for turn in turns]


def _ordinals(rows: Rows) -> Rows:
    """Return how many slots with the same row precede each, for ascending rows.

    >>> _ordinals(np.array([3, 5, 5, 5, 9])).tolist()
    [0, 0, 1, 2, 0]
    """
    place = np.arange(len(rows))
    first = np.append(True, rows[1:] != rows[:-1])[: len(rows)]
    return place - np.maximum.accumulate(np.where(first, place, 0))


def peek(table: RecordTable, keys: Keys, at: Floats) -> Floats:
    """Return the reads [n, layout.width] of records at `at` [n], without changing them; a missing one is blank."""
    found, layout = table.find(keys), table.layout
    before = found[:, 0]
    reached = np.maximum(before, at)
    forgotten = (reached - before > layout.lasts).nonzero()[0]
    seen = forgotten[found[forgotten, SEEN_BY] > NEW] if layout is CONTACT else forgotten[:0]
    found[:, layout.mark_count :] *= layout.decay(before, reached)
    found[forgotten] = layout.blank
    reads = reads_of(layout, found, reached, at)
    if len(seen):
        reads[seen] = SEEN_READS
    return reads


def reads_of(layout: Layout, found: Floats, reached: Floats, at: Floats) -> Floats:
    """Return, in place, the reads [n, layout.width] at `at` of records that are decayed to `reached` [n].

    The sum of a period that is over is lost: a fact of before reads it as NaN.
    """
    marks = found[:, : layout.mark_count]
    ages = reached[:, None] * layout.from_now + marks * layout.of_mark
    np.copyto(marks, np.where(np.isinf(ages), np.nan, ages))
    late = (reached > at).nonzero()[0]
    if len(late):
        over = periods(reached[late]) != periods(at[late])
        for counter in np.flatnonzero(layout.period >= 0):
            found[late[over[:, layout.period[counter]]], layout.mark_count + counter] = np.nan
    return found
