"""The step of one partition: facts of a time slice counted in its records, as a pure function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.features.arrays import Floats
from shared.features.facts import EXTRAS, Facts
from shared.features.keys import Keys
from shared.features.layout import LAYOUTS, OFFSETS, READ_WIDTH, READS, ROLES
from shared.features.state import Records, State
from shared.replay.partitioned.dividing import CONTACTS, FED, OF_PAYER, Arrays, PartitionFacts
from shared.replay.recurrence import NO_SLOT, Ordered, Replay

Flags = NDArray[np.bool_]
Events = NDArray[np.int64]
"""Numbers of events in a time slice."""
_COUNTS = [READS["pair_count_30d"], READS["handset_count_30d"]]
"""The reads of contacts from which EXTRAS follow."""
_OF_CONTACTS = len(_COUNTS)
"""The first EXTRAS follow from _COUNTS alone."""


class Memo(NamedTuple):
    """EXTRAS of the events that a partition has facts of, as far as they are known."""

    events: Events
    """[e], ascending."""
    values: Floats
    """[e, len(EXTRAS)], 0 by presumption until they are computed here or handed over."""
    counts: NDArray[np.float32]
    """[e, 2], the reads of the contacts, NaN in other partitions than the payer's."""

    @classmethod
    def of(cls, part: PartitionFacts) -> Memo:
        """Return the memo before any fact is counted."""
        events = _events(part.place, part.slot)
        counts = np.full((len(events), len(_COUNTS)), np.nan, dtype=np.float32)
        return cls(events, np.zeros((len(events), len(EXTRAS))), counts)

    def copy(self) -> Memo:
        """Return a memo whose values can be changed."""
        return Memo(self.events, self.values.copy(), self.counts.copy())

    def rows(self, events: NDArray[Any]) -> NDArray[np.intp]:
        """Return the rows of events."""
        return np.searchsorted(self.events, events)


class Handed(NamedTuple):
    """EXTRAS [k] that the partition of the payer hands to another: the event, the column and the value of each."""

    events: NDArray[np.int32]
    columns: NDArray[np.int8]
    values: Floats

    def put(self, memo: Memo) -> Flags:
        """Write the values into a memo; return which of its values were handed over, [e, len(EXTRAS)]."""
        rows, handed = memo.rows(self.events), np.zeros(memo.values.shape, dtype=bool)
        memo.values[rows, self.columns], handed[rows, self.columns] = self.values, True
        return handed


class CountedFacts(NamedTuple):
    """Facts counted in some of the records of a partition."""

    reads: dict[int, tuple[Events, NDArray[np.float32]]]
    """For each role: the events whose record was read, and its reads [k, width of its layout]."""
    records: State
    """The records that the facts name, afterwards; their sequence says nothing."""


def count_contacts(part: PartitionFacts, before: State, memo: Memo) -> CountedFacts:
    """Count facts in contacts alone; the EXTRAS that follow from these are final in `memo`."""
    counted = _count(part, _columns(part, CONTACTS), before, memo)
    memo.values[:, _OF_CONTACTS:] = 0.0  # without the reads of the payer they say nothing
    return counted


def count_others(part: PartitionFacts, before: State, memo: Memo) -> CountedFacts:
    """Count facts in all other records, by the values of `memo`, which has the EXTRAS of the payers afterwards."""
    others = [place for place in range(len(ROLES)) if place not in CONTACTS]
    return _count(part, _columns(part, others), before, memo)


def count_again(part: PartitionFacts, before: State, memo: Memo, handed: Flags) -> Iterator[CountedFacts]:
    """Count facts again in the records that take values which were `handed` over, [e, len(EXTRAS)].

    Yield the changes until no record of this partition takes another value than before: later ones outweigh.
    """
    while (taken := _taken(part, memo, handed)).any():
        known = memo.values.copy()
        yield _count(part, taken, before, memo)
        handed = _differ(known, memo.values)


def handed_over(part: PartitionFacts, known: Memo, memo: Memo) -> Mapping[int, Handed]:
    """Return the values for each other partition that differ from those which it knows."""
    differ = _differ(known.values, memo.values)
    told = [each for column in range(len(FED)) for each in _told(part, memo, differ, column)]
    to, events, extras, values = (np.concatenate(each) for each in zip(*told, strict=True))
    found = {}
    for number in np.unique(to).tolist():
        own = to == number
        found[number] = Handed(events[own].astype(np.int32), extras[own].astype(np.int8), values[own])
    return found


def overlaid(before: State, changes: Sequence[State]) -> State:
    """Return a state in which the records of changes replace earlier ones, each kind in the order of its keys."""
    tables, payers = [], before.payers
    for number in range(len(LAYOUTS)):
        every = [state.tables[number] for state in (before, *changes)]
        keys = np.concatenate([each.keys for each in every])
        found, last = np.unique(keys[::-1], return_index=True)
        rows = len(keys) - 1 - last
        tables.append(Records(found, np.concatenate([each.records for each in every])[rows]))
        if every[0] is before.contacts:
            payers = np.concatenate([state.payers for state in (before, *changes)])[rows]
    return before._replace(tables=tuple(tables), payers=payers)


def read_arrays(every: Sequence[CountedFacts], edges: NDArray[np.int64]) -> Arrays:
    """Return the reads of successive counts as arrays, divided by ranges of events between edges."""
    found = {}
    for role in range(len(ROLES)):
        some = [each.reads[role] for each in every if role in each.reads]
        if not some:
            continue
        events, reads = (np.concatenate(each) for each in zip(*some, strict=True))
        order = np.argsort(events, kind="stable")  # the reads of later counts stay behind those of earlier ones
        borders = np.searchsorted(events[order], edges)
        for number, (start, stop) in enumerate(pairwise(borders.tolist())):
            if start < stop:
                rows = order[start:stop]
                found[f"{number}_{role}_events"] = (events[rows] - edges[number]).astype(np.int32)
                found[f"{number}_{role}"] = reads[rows]
    return found


def put_reads(arrays: Arrays, number: int, reads: NDArray[np.float32]) -> None:
    """Write the reads in arrays of a range of events into those of all roles [n, READ_WIDTH]."""
    for role, each in enumerate(ROLES):
        if f"{number}_{role}" in arrays:
            start = OFFSETS[each.name]
            reads[arrays[f"{number}_{role}_events"], start : start + each.layout.width] = arrays[f"{number}_{role}"]


def _count(part: PartitionFacts, runs: Flags, before: State, memo: Memo) -> CountedFacts:
    """Count facts in the records that `runs` [m, len(ROLES)] marks, by the compiled step of a replay."""
    every = np.where(runs, part.facts.keys, np.uint64(0))
    rows = np.flatnonzero(every.any(axis=1))
    keys, facts = every[rows], part.facts[rows]  # copies: the step changes weights and marks
    place, slot = part.place[rows], part.slot[rows]
    events = _events(place, slot)
    at = memo.rows(events)
    reads = np.full((len(events), READ_WIDTH), np.nan, dtype=np.float32)
    reads[:, _COUNTS] = memo.counts[at]
    values = memo.values[at]
    leaves = keys[:, OF_PAYER].any(axis=1) | (place < 0)
    own = np.where(leaves, _numbered(slot, events), NO_SLOT)
    replay = Replay(_named(before, keys))
    ordered = Ordered(
        Facts(keys, facts.at, facts.weights, facts.marks), part.payers[rows], _numbered(place, events), own
    )
    replay.count(ordered, reads, values)
    memo.values[at], memo.counts[at] = values, reads[:, _COUNTS]
    return CountedFacts(dict(_reads_of(keys, place, events, reads)), replay.state())


def _reads_of(
    keys: Keys, place: Events, events: Events, reads: NDArray[np.float32]
) -> Iterator[tuple[int, tuple[Events, NDArray[np.float32]]]]:
    for role, each in enumerate(ROLES):
        asked = place[(place >= 0) & (keys[:, role] > 0)]
        if len(asked):
            start = OFFSETS[each.name]
            rows = np.searchsorted(events, asked)
            yield role, (asked, reads[rows, start : start + each.layout.width])


def _told(part: PartitionFacts, memo: Memo, differ: Flags, column: int) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield, of each of the EXTRAS of a role in FED, the partition, event, column and value where it differs."""
    facts = np.flatnonzero(part.to[:, column] >= 0)
    rows = memo.rows(part.slot[facts])
    for extra in FED[column].extras:
        told = np.flatnonzero(differ[rows, extra])
        to, events = part.to[facts[told], column], part.slot[facts[told]]
        yield to, events, np.full(len(told), extra), memo.values[rows[told], extra]


def _taken(part: PartitionFacts, memo: Memo, handed: Flags) -> Flags:
    """Return which keys [m, len(ROLES)] name a record that takes a value which was handed over."""
    taken = np.zeros(part.facts.keys.shape, dtype=bool)
    takes = np.flatnonzero((part.place < 0) & (part.slot >= 0))
    told = handed[memo.rows(part.slot[takes])]
    for fed in FED:
        keys = part.facts.keys[takes[told[:, fed.extras].any(axis=1)], fed.role]
        named = np.unique(keys[keys > 0])
        for place, role in enumerate(ROLES):
            if len(named) and role.layout is ROLES[fed.role].layout:
                taken[:, place] |= np.isin(part.facts.keys[:, place], named)
    return taken


def _differ(one: Floats, other: Floats) -> Flags:
    """Return which values differ in any bit."""
    differ: Flags = one.view(np.int64) != other.view(np.int64)
    return differ


def _named(before: State, keys: Keys) -> State:
    """Return the records of a state, whose keys ascend, that keys [m, len(ROLES)] name."""
    tables, payers = [], before.payers
    for layout, table in zip(LAYOUTS, before.tables, strict=True):
        of = [place for place, role in enumerate(ROLES) if role.layout is layout]
        rows = _found(table.keys, np.unique(keys[:, of]))
        tables.append(Records(table.keys[rows], table.records[rows]))
        if table is before.contacts:
            payers = before.payers[rows]
    return before._replace(tables=tuple(tables), payers=payers)


def _found(keys: Keys, named: Keys) -> NDArray[np.intp]:
    """Return the rows of those of the `named` keys that are among ascending keys."""
    rows = np.searchsorted(keys, named)
    inside = rows < len(keys)
    rows, named = rows[inside], named[inside]
    found: NDArray[np.intp] = rows[keys[rows] == named]
    return found


def _columns(part: PartitionFacts, places: Sequence[int]) -> Flags:
    runs = np.zeros(part.facts.keys.shape, dtype=bool)
    runs[:, list(places)] = True
    return runs


def _events(place: Events, slot: Events) -> Events:
    return np.unique(np.concatenate((place[place >= 0], slot[slot >= 0])))


def _numbered(numbers: Events, events: Events) -> NDArray[np.int64]:
    return np.where(numbers < 0, NO_SLOT, np.searchsorted(events, numbers))
