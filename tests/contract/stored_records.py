"""All records of a store of history, to compare with those of a history in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from redis import Redis

from shared.adapters.valkey.wire import LETTERS, sequence_key
from shared.features.history import MemoryHistory
from shared.features.layout import CONTACT, LAYOUTS
from shared.features.packing import unpacked

Stored = dict[tuple[str, bytes], np.ndarray[Any, np.dtype[np.float64]]]


def stored_records(servers: Iterable[Redis], shards: int) -> Stored:
    """Return the records on some primaries, by kind and key; of a contact by payer and the bytes that name it."""
    found: Stored = {}
    kinds = {LETTERS[layout.kind].encode(): layout for layout in LAYOUTS}
    for redis in servers:
        for shard in range(shards):
            prefix = sequence_key(shard, shards).encode()[:-1]
            for name in redis.scan_iter(match=prefix + b"[acdph]*", count=10_000):
                key, layout = name[len(prefix) + 1 :], kinds[name[len(prefix) : len(prefix) + 1]]
                if len(key) != 8:
                    continue
                values: dict[bytes, Any] = redis.hgetall(name) if layout is CONTACT else {b"": redis.get(name)}  # type: ignore[assignment]  # bytes by default
                for field, value in values.items():
                    packed = np.frombuffer(value, dtype=layout.packed)
                    assert (layout.kind, key + field) not in found, "a record is on one shard"
                    found[layout.kind, key + field] = unpacked(layout, packed)[0]
    return found


def expected_records(history: MemoryHistory) -> Stored:
    """Return the records of a history in memory, in the same form."""
    state, found = history.state(), Stored()
    for layout, (keys, records) in zip(LAYOUTS, state.tables, strict=True):
        names = [key.tobytes() for key in keys.astype("<u8")]
        if layout is CONTACT:
            payers = [key.tobytes() for key in state.payers.astype("<u8")]
            names = [payer + name[1:6] for payer, name in zip(payers, names, strict=True)]
        found |= {(layout.kind, name): record for name, record in zip(names, records, strict=True)}
    return found


def assert_same_records(found: Stored, expected: Stored) -> None:
    """Assert that records are equal but for rounding, as facts that commute may be counted in another order."""
    assert found.keys() == expected.keys()
    for name, record in expected.items():
        np.testing.assert_allclose(found[name], record, rtol=2e-5, atol=2e-4, err_msg=str(name))
