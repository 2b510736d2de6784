"""History in memory: counters of payer, payee, pair and device; a batch reads the same as its events one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.features.arrays import Floats
from shared.features.columns import Columns
from shared.features.facts import AMOUNT, AT, AT_IF_NEW, NEW_DEVICE, NEW_PAYEE, ONE, Facts, VerdictCount
from shared.features.index import Rows
from shared.features.layout import (
    ACCOUNT,
    CONTACT,
    DEVICE,
    HOP,
    LAYOUTS,
    OFFSETS,
    PASSED,
    PASSED_FROM,
    READ_NAMES,
    READ_WIDTH,
    TAINT,
)
from shared.features.state import Records, State
from shared.features.table import RecordTable, Touch

__all__ = ["READ_NAMES", "READ_WIDTH", "MemoryHistory"]

Reads = NDArray[np.float32]

_LONGEST_RUN = 128  # a run compares its slots in pairs, so its cost grows with the square

_WEIGHTS = {
    role: layout.weight_columns(role)
    for role, layout in (("payer", ACCOUNT), ("payee", ACCOUNT), ("contact", CONTACT), ("device", DEVICE))
}
_MARKS = {
    role: layout.mark_columns(role)
    for role, layout in (("payer", ACCOUNT), ("payee", ACCOUNT), ("contact", CONTACT), ("device", DEVICE))
}


class MemoryHistory:
    """Records of all accounts, contacts and devices in this process.

    Every event counts; the adapters count each EndToEndId once.
    """

    def __init__(self, state: State | None = None) -> None:
        self._accounts, self._contacts, self._devices = self._tables = tuple(
            RecordTable(layout) for layout in LAYOUTS
        )
        self.sequence = 0
        if state is not None:
            self.sequence = state.sequence
            for table, records in zip(self._tables, state.tables, strict=True):
                table.fill(*records)

    def observe(self, events: Sequence[Event] | Columns) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Read history before each event, then count it.

        Return reads [n, READ_WIDTH], named by READ_NAMES, and the sequence numbers [n] of the events.
        """
        columns = events if isinstance(events, Columns) else Columns.of(events)
        reads = self.count(Facts.of_events(columns))
        first = self.sequence + 1
        self.sequence += len(columns)
        return reads, np.arange(first, self.sequence + 1, dtype=np.int64)

    def report(self, reports: Sequence[VerdictCount]) -> None:
        """Count verdicts, or take them back."""
        self.count(Facts.of_reports(reports))

    def count(self, facts: Facts) -> Reads:
        """Count n events or reports; return the reads [n, READ_WIDTH] before each. `sequence` does not change."""
        reads = np.full((len(facts), READ_WIDTH), np.nan, dtype=np.float32)
        for run in _runs(facts):
            self._count_run(facts[run], reads[run])
        return reads

    def state(self) -> State:
        """Return all records: views, which change with this history; copy or dump them."""
        tables = tuple(Records(table.keys(), table.records[: len(table)]) for table in self._tables)
        return State(tables, self.sequence)

    def dump(self, path: str | Path) -> None:
        """Write all records to a file."""
        self.state().dump(path)

    @classmethod
    def load(cls, path: str | Path) -> MemoryHistory:
        """Return the history in a dumped file. Raises Misconfigured."""
        return cls(State.load(path))

    def _count_run(self, facts: Facts, reads: Reads) -> None:
        """Count events none of which pays from an account that an earlier event of the run paid into."""
        self._count_contacts(facts, reads)  # first, as it finds out which payees and devices are new
        self._count_accounts(facts, reads)
        self._count_devices(facts, reads)

    def _count_contacts(self, facts: Facts, reads: Reads) -> None:
        """Count contacts of payer and payee and of payer and device; write into the facts which were new."""
        # Both kinds are records of one table: slots 0..n-1 are pairs, n..2n-1 handsets, each of event `slot % n`.
        keys = np.concatenate((facts.pair, facts.handset))
        slots = np.flatnonzero(keys)
        if not len(slots):
            return
        event = slots % len(facts)
        rows, new = self._contacts.rows(keys[slots])
        first = slots[new]
        pairs = first < len(facts)
        facts.weights[first[pairs], NEW_PAYEE] = 1.0
        facts.marks[first[pairs], AT_IF_NEW] = facts.marks[first[pairs], AT]
        facts.weights[first[~pairs] - len(facts), NEW_DEVICE] = 1.0
        touch = _touch(self._contacts, rows, event, facts, "contact")
        found = touch.settle(facts.weights[event[:, None], _WEIGHTS["contact"]])
        paired = slots < len(facts)
        _put(reads, "pair", event[paired], found[paired])
        _put(reads, "handset", event[~paired], found[~paired])

    def _count_accounts(self, facts: Facts, reads: Reads) -> None:
        # Slot 2i is the payer of event i, slot 2i + 1 its payee: both may be records of one account.
        keys = np.stack((facts.payer, facts.payee), axis=1).ravel()
        event = np.arange(len(keys)) // 2
        raised = np.stack(
            (facts.marks.take(_MARKS["payer"], axis=1), facts.marks.take(_MARKS["payee"], axis=1)), axis=1
        )
        touch = Touch(
            self._accounts,
            self._accounts.rows(keys)[0],
            event,
            facts.at[event],
            raised.reshape(len(keys), -1),
        )
        found = touch.settle(_account_weights(facts, touch.counters[::2]))
        reads[:, OFFSETS["payer"] : OFFSETS["payer"] + 2 * ACCOUNT.width] = found.reshape(len(facts), -1)

    def _count_devices(self, facts: Facts, reads: Reads) -> None:
        event = np.flatnonzero(facts.device)
        if not len(event):
            return
        touch = _touch(self._devices, self._devices.rows(facts.device[event])[0], event, facts, "device")
        _put(reads, "device", event, touch.settle(facts.weights[event[:, None], _WEIGHTS["device"]]))


def _touch(table: RecordTable, rows: Rows, event: Rows, facts: Facts, role: str) -> Touch:
    return Touch(table, rows, event, facts.at[event], facts.marks[event[:, None], _MARKS[role]])


def _account_weights(facts: Facts, payer: Floats) -> Floats:
    """Return the weights [2n, counters] of each event for payer and payee, given the payer's counters [n, counters].

    Two weights depend on the payer's counters: the amount and the taint passed on. Both depend only on
    receipts, and by the cut of `_runs` no event of a run adds receipts to a later payer of that run. So the counters
    from before the run are exact.
    """
    sent = facts.weights.take(_WEIGHTS["payer"], axis=1)
    received = facts.weights.take(_WEIGHTS["payee"], axis=1)
    sent[:, PASSED] = np.minimum(facts.weights[:, AMOUNT, None], payer[:, PASSED_FROM])
    received[:, TAINT] += HOP * facts.weights[:, ONE, None] * np.clip(payer[:, TAINT], 0.0, 1.0)
    return np.stack((sent, received), axis=1).reshape(2 * len(facts), -1)


def _put(reads: Reads, role: str, event: Rows, found: Floats) -> None:
    start = OFFSETS[role]
    reads[event, start : start + found.shape[1]] = found


def _runs(facts: Facts) -> list[slice]:
    """Cut where an account pays that was paid since the last cut: its weights depend on that receipt.

    See `_account_weights`. Between two cuts, all events are counted at once.
    """
    runs, start, paid = [], 0, set[int]()
    for i, (payer, payee) in enumerate(zip(facts.payer.tolist(), facts.payee.tolist(), strict=True)):
        if payer in paid or i - start == _LONGEST_RUN:
            runs.append(slice(start, i))
            start = i
            paid.clear()
        paid.add(payee)
    runs.append(slice(start, len(facts)))
    return runs if len(facts) else []
