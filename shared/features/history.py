"""History in memory: records of accounts, contacts, devices and persons; a batch reads as its facts one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.features.arrays import Floats
from shared.features.columns import Columns
from shared.features.facts import ASKED_OF, PLACES, Facts, asks
from shared.features.index import Rows
from shared.features.keys import Keys
from shared.features.layout import CONTACT, LAYOUTS, OFFSETS, READ_NAMES, READ_WIDTH, ROLES
from shared.features.state import Records, State
from shared.features.table import RecordTable, Touch, peek

__all__ = ["READ_NAMES", "READ_WIDTH", "MemoryHistory"]

Reads = NDArray[np.float32]

_LONGEST_RUN = 512  # its slots and their weights stay in the processor's cache


class _Roles(NamedTuple):
    """Roles whose records are in one table: their columns in `Facts.keys`, `weights` and `marks`.

    The columns of the weights and marks of the first role come before those of the second, and so on.
    """

    places: list[int]
    weights: NDArray[np.int64]
    marks: NDArray[np.int64]

    @classmethod
    def at(cls, places: list[int]) -> _Roles:
        """Return the roles at some places."""
        roles = [ROLES[place] for place in places]
        weights = np.concatenate([role.layout.weight_columns(role.counts_as) for role in roles])
        return cls(places, weights, np.concatenate([role.layout.mark_columns(role.counts_as) for role in roles]))


def _by_table(places: Iterable[int]) -> dict[str, _Roles]:
    """Return roles by the kind of their records."""
    found: dict[str, list[int]] = {}
    for place in places:
        found.setdefault(ROLES[place].layout.kind, []).append(place)
    return {kind: _Roles.at(own) for kind, own in found.items()}


_EVERY = _by_table(range(len(ROLES)))
_ASKED = _by_table(ASKED_OF)
_READ_ONLY = _by_table(sorted({*range(len(ROLES))} - {*ASKED_OF}))
"""The roles whose records an ask reads without counting in them."""


class MemoryHistory:
    """Records of all accounts, contacts, devices and persons in this process.

    Every fact counts; the adapters count each change once. `sequence` is the number of changes.
    """

    def __init__(self, state: State | None = None) -> None:
        self._tables = {layout.kind: RecordTable(layout) for layout in LAYOUTS}
        self.sequence = 0
        if state is not None:
            self.sequence = state.sequence
            for table, records in zip(self._tables.values(), state.tables, strict=True):
                table.fill(*records, state.payers)

    def observe(self, events: Sequence[Event] | Columns) -> tuple[Reads, NDArray[np.int64]]:
        """Read history before each ask, then count it.

        Return reads [n, READ_WIDTH], named by READ_NAMES, and the places [n] of the asks.
        """
        columns = events if isinstance(events, Columns) else Columns.of(events)
        reads = self.ask(asks(columns))
        first = self.sequence + 1
        self.sequence += len(columns)
        return reads, np.arange(first, self.sequence + 1, dtype=np.int64)

    def ask(self, facts: Facts) -> Reads:
        """Count asks; return the reads [n, READ_WIDTH] before each. `sequence` does not change."""
        reads = np.full((len(facts), READ_WIDTH), np.nan, dtype=np.float32)
        for kind, roles in _READ_ONLY.items():
            self._peek(self._tables[kind], facts, roles.places, reads)
        for run in _runs(len(facts)):
            self._count(facts[run], _ASKED, reads[run])
        return reads

    def count(self, facts: Facts) -> None:
        """Count facts in every record that they name. `sequence` does not change."""
        for run in _runs(len(facts)):
            self._count(facts[run], _EVERY, None)

    def state(self) -> State:
        """Return all records: views, which change with this history; copy or dump them."""
        tables = tuple(Records(table.keys(), table.records[: len(table)]) for table in self._tables.values())
        contacts = self._tables[CONTACT.kind]
        return State(tables, self.sequence, contacts.payers[: len(contacts)])

    def dump(self, path: str | Path) -> None:
        """Write all records to a file."""
        self.state().dump(path)

    @classmethod
    def load(cls, path: str | Path) -> MemoryHistory:
        """Return the history in a dumped file. Raises Misconfigured."""
        return cls(State.load(path))

    def _peek(self, table: RecordTable, facts: Facts, places: list[int], reads: Reads) -> None:
        slots = _Slots(facts, places)
        if len(slots.keys):
            slots.put(reads, peek(table, slots.keys, facts.at[slots.event]))

    def _count(self, facts: Facts, roles_of: Mapping[str, _Roles], reads: Reads | None) -> None:
        """Count facts in some roles, table by table, as one record may have several roles in a fact."""
        for kind, roles in roles_of.items():
            self._count_table(self._tables[kind], facts, roles, reads)

    def _count_table(self, table: RecordTable, facts: Facts, roles: _Roles, reads: Reads | None) -> None:
        slots = _Slots(facts, roles.places)
        if not len(slots.keys):
            return
        event, at = slots.event, facts.at[slots.event]
        weights, raised = slots.columns(facts.weights, roles.weights), slots.columns(facts.marks, roles.marks)
        rows, new = table.rows(slots.keys)
        if new and table.layout is CONTACT:
            table.name_payers(rows[new], facts.keys[event[new], PLACES["payer"]])
        own = _joined(rows, event, weights, raised) if len(roles.places) > 1 else None
        if own is None:
            touch = Touch(table, rows, at, raised, weights)
        else:
            touch = Touch(table, rows[own], at[own], raised[own], weights[own])
        if reads is not None:
            found = touch.reads()
            slots.put(reads, found if own is None else found[own.cumsum() - 1])


class _Slots:
    """The records that n facts name in some roles: `keys` [m], and the index of the fact of each, `event` [m].

    Slot i * len(places) + j is role j of fact i, if it names a record. Mostly all do, so that no slot is left out.
    """

    def __init__(self, facts: Facts, places: list[int]) -> None:
        self._places = places
        every = facts.keys.take(places, axis=1).ravel()
        self._named = every.nonzero()[0]
        self._complete = len(self._named) == len(every)
        self.keys: Keys = every if self._complete else every[self._named]
        self.event: Rows = self._named // len(places)

    def columns(self, values: Floats, columns: NDArray[np.int64]) -> Floats:
        """Return the values [m, k] that the facts have in the columns of each slot's role, as in `_Roles`."""
        every = values.take(columns, axis=1).reshape(len(values) * len(self._places), -1)
        return every if self._complete else every.take(self._named, axis=0)

    def put(self, reads: Reads, found: Floats) -> None:
        """Write the values [m, width] of the slots into the columns of their roles."""
        for j, place in enumerate(self._places):
            start = OFFSETS[ROLES[place].name]
            columns = slice(start, start + found.shape[1])
            if self._complete:
                reads[:, columns] = found[j :: len(self._places)]
            else:
                own = (self._named % len(self._places) == j).nonzero()[0]
                reads[self.event[own], columns] = found[own]


def _joined(rows: Rows, event: Rows, weights: Floats, raised: Floats) -> NDArray[np.bool_] | None:
    """Return which slots [m] remain once those that name the record of the slot before, in the same fact, join it.

    An account that pays itself has two slots: the fact counts in both roles, and then the record is rounded. None if
    all remain.
    """
    second = ((rows[1:] == rows[:-1]) & (event[1:] == event[:-1])).nonzero()[0] + 1
    if not len(second):
        return None
    weights[second - 1] += weights[second]
    raised[second - 1] = np.maximum(raised[second - 1], raised[second])
    own = np.ones(len(rows), dtype=bool)
    own[second] = False
    return own


def _runs(count: int) -> list[slice]:
    return [slice(start, min(start + _LONGEST_RUN, count)) for start in range(0, count, _LONGEST_RUN)]
