"""History in memory: records of accounts, contacts, devices and persons; a batch reads as its facts one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.features.arrays import Floats
from shared.features.columns import Columns
from shared.features.facts import ASKED_OF, PLACES, Facts, asks
from shared.features.index import Rows
from shared.features.layout import CONTACT, LAYOUTS, OFFSETS, READ_NAMES, READ_WIDTH, ROLES
from shared.features.state import Records, State
from shared.features.table import RecordTable, Touch, peek

__all__ = ["READ_NAMES", "READ_WIDTH", "MemoryHistory"]

Reads = NDArray[np.float32]

_LONGEST_RUN = 512  # its slots and their weights stay in the processor's cache
_WEIGHTS = [role.layout.weight_columns(role.counts_as) for role in ROLES]
_MARKS = [role.layout.mark_columns(role.counts_as) for role in ROLES]
_EVERY = tuple(range(len(ROLES)))


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
        for place in set(_EVERY).difference(ASKED_OF):
            self._peek(facts, place, reads)
        for run in _runs(len(facts)):
            self._count(facts[run], ASKED_OF, reads[run])
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

    def _peek(self, facts: Facts, place: int, reads: Reads) -> None:
        named = np.flatnonzero(facts.keys[:, place])
        if len(named):
            table = self._tables[ROLES[place].layout.kind]
            _put(reads, place, named, peek(table, facts.keys[named, place], facts.at[named]))

    def _count(self, facts: Facts, places: tuple[int, ...], reads: Reads | None) -> None:
        """Count facts in some roles, table by table, as one record may have several roles in a fact."""
        for kind, table in self._tables.items():
            roles = [place for place in places if ROLES[place].layout.kind == kind]
            if roles:
                self._count_table(table, facts, roles, reads)

    def _count_table(self, table: RecordTable, facts: Facts, roles: list[int], reads: Reads | None) -> None:
        keys = facts.keys[:, roles].ravel()  # slot i * len(roles) + j is role j of fact i
        slots = np.flatnonzero(keys)
        if not len(slots):
            return
        event, role = slots // len(roles), slots % len(roles)
        weights = np.stack([facts.weights.take(_WEIGHTS[place], axis=1) for place in roles], axis=1)[event, role]
        raised = np.stack([facts.marks.take(_MARKS[place], axis=1) for place in roles], axis=1)[event, role]
        rows, new = table.rows(keys[slots])
        if new and table.layout is CONTACT:
            table.name_payers(rows[new], facts.keys[event[new], PLACES["payer"]])
        twin = _joined(rows, event, weights, raised)
        own = ~twin
        touch = Touch(table, rows[own], facts.at[event[own]], raised[own], weights[own])
        if reads is not None:
            found = touch.reads()[own.cumsum() - 1]
            for j, place in enumerate(roles):
                _put(reads, place, event[role == j], found[role == j])


def _joined(rows: Rows, event: Rows, weights: Floats, raised: Floats) -> NDArray[np.bool_]:
    """Return which slots [m] name the record of the slot before in the same fact, once they are added to that.

    An account that pays itself has two slots: the fact counts in both roles, and then the record is rounded.
    """
    twin = np.append(False, (rows[1:] == rows[:-1]) & (event[1:] == event[:-1]))[: len(rows)]
    second = np.flatnonzero(twin)
    weights[second - 1] += weights[second]
    raised[second - 1] = np.maximum(raised[second - 1], raised[second])
    return twin


def _put(reads: Reads, place: int, event: NDArray[np.int64], found: NDArray[np.float64]) -> None:
    start = OFFSETS[ROLES[place].name]
    reads[event, start : start + found.shape[1]] = found


def _runs(count: int) -> list[slice]:
    return [slice(start, min(start + _LONGEST_RUN, count)) for start in range(0, count, _LONGEST_RUN)]
