"""Records of one kind in one growing array, and the recurrence on many of them at once."""

from __future__ import annotations

import numpy as np

from shared.features.arrays import Floats
from shared.features.index import Index, Rows
from shared.features.keys import Keys
from shared.features.layout import Layout, decay, periods

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
        self._blank = np.concatenate((np.full(layout.mark_count, -np.inf), np.zeros(len(layout.span))))
        self.records: Floats = np.empty((_FIRST_CAPACITY, layout.width))
        self._larger: Floats | None = None
        self._moved = 0

    def __len__(self) -> int:
        return len(self._index)

    def fill(self, keys: Keys, records: Floats) -> None:
        """Replace all records with a copy of these."""
        self._index = Index(keys)
        self.records = np.empty((max(_FIRST_CAPACITY, int(len(records) * _GROWTH)), self.layout.width))
        self.records[: len(records)] = records
        self._larger = None

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

    def find(self, keys: Keys) -> Floats:
        """Return a copy of the record [n, layout.width] of each key, a blank one where there is none."""
        rows = self._index.find(keys)
        found = self.records.take(rows, axis=0)
        found[rows < 0] = self._blank
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
        self.records[used:size] = self._blank


class Touch:
    """The records of one table that a run of facts changes, each as of just before its fact.

    There are m slots, one for each record that a fact changes: `rows` [m] is its record, `event` [m] the index of
    its fact (ascending), `at` [m] the time, `raised` [m, marks] the marks to raise to and `weights` [m, counters] the
    weights to add.
    """

    def __init__(self, table: RecordTable, rows: Rows, event: Rows, at: Floats, raised: Floats) -> None:
        self._table, self._rows, self._event, self._at, self._raised = table, rows, event, at, raised
        self._found = table.records.take(rows, axis=0)
        count = table.layout.mark_count
        self._marks, self._counters = self._found[:, :count], self._found[:, count:]
        before = self._marks[:, 0].copy()
        self._shared = len(set(rows.tolist())) < len(rows)
        if self._shared:
            self._later, self._earlier = _repeats(rows, event)
            np.maximum.at(self._marks, self._later, raised[self._earlier])
        self._reached = np.maximum(self._marks[:, 0], at)
        self._counters *= self._decay(before, self._reached)

    def add(self, weights: Floats) -> None:
        """Add the weights [m, counters] of each fact to the table, and to what later facts read."""
        if self._shared:
            left = self._decay(self._at[self._earlier], self._reached[self._later])
            np.add.at(self._counters, self._later, weights[self._earlier] * left)
        # Where slots share a record the last one is written, and it includes the others.
        self._table.put(self._rows, self._counted(weights))

    def reads(self) -> Floats:
        """Return the reads [m, layout.width] before each fact, once its weights were added; this ends its use."""
        return reads_of(self._table.layout, self._found, self._reached, self._at)

    def _counted(self, weights: Floats) -> Floats:
        """Return the records [m, layout.width] after each fact."""
        own = weights * self._decay(self._at, self._reached)
        records = np.empty_like(self._found)
        marks, counters = records[:, : self._marks.shape[1]], records[:, self._marks.shape[1] :]
        np.maximum(self._marks, self._raised, out=marks)
        np.add(self._counters, own, out=counters)
        if self._shared:
            # An account that pays itself has two slots in one fact: the second also takes the first's weights.
            twin = np.flatnonzero((self._rows[1:] == self._rows[:-1]) & (self._event[1:] == self._event[:-1])) + 1
            counters[twin] += own[twin - 1]
            marks[twin] = np.maximum(marks[twin], self._raised[twin - 1])
        return records

    def _decay(self, since: Floats, until: Floats) -> Floats:
        return decay(since, until).take(self._table.layout.span, axis=1)


def peek(table: RecordTable, keys: Keys, at: Floats) -> Floats:
    """Return the reads [n, layout.width] of records at `at` [n], without changing them; a missing one is blank."""
    found, layout = table.find(keys), table.layout
    before = found[:, 0]
    reached = np.maximum(before, at)
    found[:, layout.mark_count :] *= decay(before, reached).take(layout.span, axis=1)
    return reads_of(layout, found, reached, at)


def reads_of(layout: Layout, found: Floats, reached: Floats, at: Floats) -> Floats:
    """Return, in place, the reads [n, layout.width] at `at` of records that are decayed to `reached` [n].

    The sum of a period that is over is lost: a fact of before reads it as NaN.
    """
    marks = found[:, : layout.mark_count]
    ages = reached[:, None] * layout.from_now + marks * layout.of_mark
    np.copyto(marks, np.where(np.isinf(ages), np.nan, ages))
    late = np.flatnonzero(reached > at)
    if len(late):
        over = periods(reached[late]) != periods(at[late])
        for counter in np.flatnonzero(layout.period >= 0):
            found[late[over[:, layout.period[counter]]], layout.mark_count + counter] = np.nan
    return found


def _repeats(rows: Rows, event: Rows) -> tuple[Rows, Rows]:
    """Return the pairs of slots (later, earlier) with the same record and different facts."""
    order = rows.argsort(kind="stable")
    twice = np.flatnonzero(rows[order[1:]] == rows[order[:-1]])
    among = np.unique(order[np.concatenate((twice, twice + 1))])  # usually few, so all pairs are compared
    later, earlier = np.nonzero((rows[among, None] == rows[among]) & (event[among, None] > event[among]))
    return among[later], among[earlier]
