"""The parts of a call that go to each shard of history."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.adapters.valkey.visits import ask_entries, change_entries
from shared.adapters.valkey.wire import AskedPart, name_of
from shared.features.life import LIFE_ID, STATEMENT_BYTES
from shared.features.reports import STATE_BYTES
from shared.features.shards import home_of, masked, shards_of
from shared.ports.history import LIFE_KEY, Changes

_ID_AT = len(LIFE_KEY + LIFE_ID)


class ShardAsks(NamedTuple):
    """The Pix at some rows of a micro-batch, whose home is a shard."""

    shard: int
    rows: NDArray[np.int64]
    asked: AskedPart


class ShardChanges(NamedTuple):
    """The changes at some rows, whose home is a shard, with the facts that it counts, and the entry of each."""

    shard: int
    rows: NDArray[np.int64]
    changes: Changes
    entries: list[bytes]


def asked_parts(asked: AskedPart, shards: int) -> list[ShardAsks]:
    """Return the parts of a micro-batch by home."""
    of, homes = shards_of(asked.facts, shards), home_of([name[_ID_AT:] for name in asked.names], shards)
    entries = ask_entries(asked.facts, of, homes, asked.names)
    found = []
    for shard in np.unique(homes).tolist():
        rows = np.flatnonzero(homes == shard)
        own = masked(asked.facts[rows], of[rows], shard)
        found.append(ShardAsks(shard, rows, asked.take(rows, own, entries[rows].tobytes())))
    return found


def changed_parts(changes: Changes, shards: int) -> list[ShardChanges]:
    """Return the parts of changes by home."""
    if shards == 1:
        return [ShardChanges(0, np.arange(len(changes.keys)), changes, [])]
    homes, of = home_of([key[1:] for key in changes.keys], shards), shards_of(changes.facts, shards)
    names = [name_of(key) for key in changes.keys]
    entries = change_entries(changes.facts, changes.of, shards, homes, names, _statements(changes))
    found = []
    for shard in np.unique(homes).tolist():
        rows = np.flatnonzero(homes == shard)
        facts = np.flatnonzero(homes[changes.of] == shard)
        chosen = rows.tolist()
        own = Changes(
            [changes.keys[i] for i in chosen],
            [changes.expected[i] for i in chosen],
            [changes.values[i] for i in chosen],
            [changes.place_at[i] for i in chosen],
            masked(changes.facts[facts], of[facts], shard),
            np.searchsorted(rows, changes.of[facts]),
        )
        found.append(ShardChanges(shard, rows, own, [entries[i] for i in chosen]))
    return found


def _statements(changes: Changes) -> list[bytes]:
    """Return the note in each value about the statement by which it changes: it stands before the place."""
    found = []
    for key, value, at in zip(changes.keys, changes.values, changes.place_at, strict=True):
        length = STATEMENT_BYTES if key[0] == LIFE_KEY else STATE_BYTES
        found.append(value[max(0, at - length) : max(0, at)])
    return found
