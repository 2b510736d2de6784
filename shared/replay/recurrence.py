"""The recurrence of history, compiled: replays millions of changes in the order in which they were counted.

It computes the records of `shared.features.history.MemoryHistory`, from the same facts and layouts, and starts from
and ends in the same `State`. Memory is bounded by the number of keys, not of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.features.arrays import Floats
from shared.features.columns import Columns
from shared.features.facts import ASKED_OF, CENTAVO, EXTRAS, PLACES, Facts, Settlements, asks
from shared.features.history import READ_WIDTH
from shared.features.keys import Keys
from shared.features.layout import (
    ACCOUNT,
    ALL_SPANS,
    CONTACT,
    DAY,
    HOP,
    LAYOUTS,
    MARKS,
    NEW,
    OFFSETS,
    RATES,
    READS,
    ROLES,
    SEEN_BY,
    SEEN_READS,
    STARTS,
    WEIGHTS,
    Layout,
    Role,
)
from shared.features.state import Records, State
from shared.features.vector import feature_matrix
from shared.replay.kernel import index_all, replay_facts

CHUNK = 4096
"""Events that are replayed at once: few enough that their features stay in the processor's cache."""

NO_SLOT = -1
_FIRST_CAPACITY = 1024


class Chunk(NamedTuple):
    """Pix that are asked for, and other facts of which each counts just before the event at its place in `before`.

    A settlement whose ask is replayed too takes the weights that depend on history (EXTRAS) from the slot of its ask;
    its own EXTRAS are the share of these. NO_SLOT is none.
    """

    events: Columns
    slots: NDArray[np.int64]
    """[n], the slot of each event."""
    facts: Facts
    """[m]."""
    before: NDArray[np.int64]
    """[m], ascending."""
    facts_slots: NDArray[np.int64]
    """[m], the slot from which each fact takes its EXTRAS."""
    asks: Facts | None = None
    """[n], of the events, where they name only the records of one shard; None: those of all records."""
    first: int = 0
    """The slot of the first event: the number of events since the source last learned their EXTRAS."""

    @classmethod
    def settled(cls, events: Columns) -> Chunk:
        """Return events each of which settles at once, unless it is itself a return."""
        sold = np.flatnonzero(~events.is_return)
        return cls(events, np.arange(len(events)), immediate(events[sold]).counted(), sold + 1, sold)


class Ordered(NamedTuple):
    """Facts [m] in the order in which they count."""

    facts: Facts
    payers: Keys
    """[m], named in the contacts that a fact makes."""
    place: NDArray[np.int64]
    """[m], the row of reads of each ask; NO_SLOT of any other fact."""
    slot: NDArray[np.int64]
    """[m], where an ask leaves the EXTRAS of its settlement, and where that takes them from."""


class Due(NamedTuple):
    """Facts [m] of changes between events.

    They count before the events at the indexes `before` [m]; `at` [m] are their places, `places` those of all
    changes.
    """

    facts: Facts
    before: NDArray[np.int64]
    at: NDArray[np.int64]
    places: NDArray[np.int64]
    slots: NDArray[np.int64]
    """[m], the slot from which each fact takes its EXTRAS."""


def immediate(events: Columns) -> Settlements:
    """Return the settlements of events [n] at their own time, with all of their EXTRAS."""
    count = len(events)
    keys = np.stack((events.payer, events.payee, events.device, events.customer), axis=1)
    return Settlements(keys, events.at, events.amount, np.ones((count, len(EXTRAS))), np.ones(count, dtype=bool))


class Replay:
    """History that is built by replaying; `sequence` is the number of changes, which its user keeps."""

    def __init__(self, state: State | None = None) -> None:
        state = state or State.empty()
        self.sequence = state.sequence
        self._tables = [_HashTable(layout, *records) for layout, records in zip(LAYOUTS, state.tables, strict=True)]
        self._contacts = self._tables[LAYOUTS.index(CONTACT)]
        self._contacts.name_payers(state.payers)
        self._memo = np.zeros((_FIRST_CAPACITY, len(EXTRAS)))

    def run(self, chunk: Chunk) -> NDArray[np.float32]:
        """Count a chunk; return the reads of history before each of its events [n, READ_WIDTH]."""
        ordered = in_order(chunk)
        if len(ordered.slot) and int(ordered.slot.max()) >= len(self._memo):
            self._memo = _grown(self._memo, len(self._memo), 2 * int(ordered.slot.max()))
        reads = np.full((len(chunk.events), READ_WIDTH), np.nan, dtype=np.float32)
        self.count(ordered, reads, self._memo)
        return reads

    def count(self, ordered: Ordered, reads: NDArray[np.float32], memo: Floats) -> None:
        """Count facts, write the reads of asks into `reads` and their EXTRAS into `memo` [slots, len(EXTRAS)].

        Only the records that the facts name are read and changed. The weights and marks of the facts change.
        """
        facts = ordered.facts
        for table, most in zip(self._tables, _KEYS_PER_FACT, strict=True):
            table.make_room(most * len(facts))
        tables = tuple(table.arrays() for table in self._tables)
        replay_facts(
            *(facts.keys, ordered.payers, facts.at, facts.weights, facts.marks, ordered.place, ordered.slot),
            *(reads, memo, tables, _PLANS, _Constants()),
        )

    def extras(self, slots: NDArray[np.int64]) -> Floats:
        """Return the EXTRAS [n, len(EXTRAS)] that asks left in slots [n]."""
        return self._memo[slots]

    def state(self) -> State:
        """Return the current history, not a copy: later chunks change it."""
        return State(tuple(table.stored() for table in self._tables), self.sequence, self._contacts.payers())


def replay_columns(chunks: Iterable[Columns], replay: Replay) -> Iterator[tuple[Columns, NDArray[np.float32]]]:
    """Yield events with their feature vectors [n, F], at most CHUNK at once; each event settles at once."""
    for events in chunks:
        for start in range(0, len(events), CHUNK):
            part = events[start : start + CHUNK]
            yield part, feature_matrix(part, replay.run(Chunk.settled(part)))


def in_order(chunk: Chunk) -> Ordered:
    """Return the asks and other facts of a chunk in one order."""
    asked, count = chunk.asks or asks(chunk.events), len(chunk.events)
    place = np.concatenate((np.arange(count), np.full(len(chunk.facts), NO_SLOT)))
    slot = np.concatenate((chunk.slots, chunk.facts_slots))
    # A fact at k sorts before event k and after event k - 1.
    order = np.argsort(np.concatenate((2 * np.arange(count) + 1, 2 * chunk.before)), kind="stable")
    facts = Facts.joined((asked, chunk.facts), order)
    return Ordered(facts, np.ascontiguousarray(facts.keys[:, PLACES["payer"]]), place[order], slot[order])


class _HashTable:
    """Records and an open-addressing index of their keys that compiled code can insert into."""

    def __init__(self, layout: Layout, keys: Keys, records: Floats) -> None:
        self._keys, self._records = keys.copy(), records.copy()
        self._payers = np.zeros_like(keys)
        self._blank = layout.blank
        self._used = np.array([len(keys)], dtype=np.int64)
        self._index = np.empty(0, dtype=np.int64)

    def make_room(self, more: int) -> None:
        """Make sure that `more` keys can be inserted."""
        used = int(self._used[0])
        if used + more > len(self._keys):
            capacity = max(used + more, len(self._keys) * 3 // 2, _FIRST_CAPACITY)
            self._keys, self._records = _grown(self._keys, used, capacity), _grown(self._records, used, capacity)
            self._payers = _grown(self._payers, used, capacity)
        if 2 * len(self._keys) > len(self._index):
            self._index = np.full(1 << (2 * len(self._keys) - 1).bit_length(), -1, dtype=np.int64)
            index_all(self._keys, used, self._index)

    def arrays(self) -> tuple[Any, ...]:
        """Return the arrays that the compiled code works on."""
        return self._index, self._keys, self._records, self._used, self._blank, self._payers

    def name_payers(self, payers: Keys) -> None:
        """Note the payer of each record."""
        self._payers[:] = payers

    def payers(self) -> Keys:
        """Return the payer of the fact that made each record."""
        return self._payers[: int(self._used[0])]

    def stored(self) -> Records:
        """Return the records in use."""
        used = int(self._used[0])
        return Records(self._keys[:used], self._records[:used])


def _grown(values: NDArray[Any], used: int, capacity: int) -> NDArray[Any]:
    grown = np.empty((capacity, *values.shape[1:]), dtype=values.dtype)
    grown[:used] = values[:used]
    return grown


class _Plan(NamedTuple):
    """The layout of a role as arrays for the compiled code."""

    table: int
    """Index into LAYOUTS."""
    asked: bool
    """Whether an ask counts in this role."""
    offset: int
    """Of the role in the reads."""
    span: NDArray[np.int64]
    period: NDArray[np.int64]
    from_now: Floats
    of_mark: Floats
    single: NDArray[np.int64]
    """[k, 2], the first and the last but one of the values of each run that is stored as float32."""
    lasts: float
    raised: NDArray[np.int64]
    """The column of marks that raises each mark."""
    moved: NDArray[np.int64]
    """The counters that this role moves, as indexes of the record, with their spans and weights."""
    moved_span: NDArray[np.int64]
    weight: NDArray[np.int64]


_KINDS = tuple(layout.kind for layout in LAYOUTS)


def _plan(place: int, role: Role) -> _Plan:
    layout = role.layout
    weight = layout.weight_columns(role.counts_as)
    moved = np.flatnonzero(weight)
    return _Plan(
        table=_KINDS.index(layout.kind),
        asked=place in ASKED_OF,
        offset=OFFSETS[role.name],
        span=layout.span,
        period=layout.period,
        from_now=layout.from_now,
        of_mark=layout.of_mark,
        single=np.array(layout.single, dtype=np.int64).reshape(-1, 2),
        lasts=layout.lasts,
        raised=layout.mark_columns(role.counts_as),
        moved=layout.mark_count + moved,
        moved_span=layout.span[moved],
        weight=weight[moved],
    )


_PLANS = tuple(_plan(place, role) for place, role in enumerate(ROLES))
_KEYS_PER_FACT = tuple(sum(role.layout is layout for role in ROLES) for layout in LAYOUTS)


class _Constants(NamedTuple):
    """Columns and constants that compiled code names; arguments, for its cache does not follow imports."""

    rates: Floats = RATES
    starts: Floats = STARTS
    day: float = DAY
    payer: int = PLACES["payer"]
    payee: int = PLACES["payee"]
    spans: int = len(ALL_SPANS)
    widest: int = ACCOUNT.width
    asked_amount: int = WEIGHTS.index("asked_amount")
    extras: int = WEIGHTS.index(EXTRAS[0])
    at_if_new: int = MARKS.index("at_if_new")
    paired: int = READS["pair_count_30d"]
    handled: int = READS["handset_count_30d"]
    came_in: tuple[int, int, int] = (
        READS["payer_received_amount_1h"],
        READS["payer_received_amount_1d"],
        READS["payer_received_amount_7d"],
    )
    taint: tuple[int, int] = (READS["payer_taint_7d"], READS["payer_taint_30d"])
    new: float = NEW
    centavo: float = CENTAVO
    seen_by: int = SEEN_BY
    seen_reads: Floats = SEEN_READS
    hop: float = HOP
