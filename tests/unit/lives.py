"""Histories through which a stream has passed, one item after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.features.columns import Columns
from shared.features.facts import Facts, VerdictCount, extras, verdict_facts
from shared.features.history import READ_WIDTH, MemoryHistory
from shared.replay.recurrence import NO_SLOT, Chunk, immediate
from tests.unit.streams import Attempt, Item


def live(history: MemoryHistory, items: Iterable[Item]) -> NDArray[np.float32]:
    """Take items into history in order; return the reads [n, READ_WIDTH] of its events and attempts."""
    reads = [np.empty((0, READ_WIDTH), dtype=np.float32)]
    for item in items:
        if isinstance(item, VerdictCount):
            history.count(verdict_facts([item]))
            continue
        columns = Columns.of([item.event if isinstance(item, Attempt) else item])
        reads.append(history.observe(columns)[0])
        if isinstance(item, Event):
            settle(history, columns, reads[-1])
    return np.concatenate(reads)


def settle(history: MemoryHistory, columns: Columns, reads: NDArray[np.float32]) -> None:
    """Count that Pix settled when they were asked for, given the reads of the asks."""
    found = immediate(columns)
    found.extras[:] = extras(reads, columns.amount)
    history.count(found.counted())


def chunk_of(items: Sequence[Item]) -> Chunk:
    """Return the items as a chunk of a replay."""
    columns = Columns.of([event for event in map(_event, items) if event is not None])
    facts, before, slots = [Facts.blank(np.empty(0))], [], []
    asked = 0
    for item in items:
        if isinstance(item, VerdictCount):
            facts.append(verdict_facts([item]))
            slots.append(NO_SLOT)
            before.append(asked)
            continue
        asked += 1
        if isinstance(item, Event):
            facts.append(immediate(columns[asked - 1 : asked]).counted())
            slots.append(asked - 1)
            before.append(asked)
    return Chunk(
        columns,
        np.arange(len(columns)),
        Facts.joined(facts),
        np.array(before, dtype=np.int64),
        np.array(slots, dtype=np.int64),
    )


def _event(item: Item) -> Event | None:
    if isinstance(item, VerdictCount):
        return None
    return item.event if isinstance(item, Attempt) else item
