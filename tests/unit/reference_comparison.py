"""Compare reads and records with those of the history in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.features.facts import VerdictCount, handsets
from shared.features.history import READ_WIDTH
from shared.features.keys import keys_of, pair_of
from shared.features.layout import LAYOUTS
from shared.features.state import State
from tests.unit.reference_history import ReferenceHistory
from tests.unit.streams import ACCOUNTS, Attempt, Item

Stream = list[Item]


def by_reference(stream: Stream) -> tuple[NDArray[np.float32], ReferenceHistory]:
    history, reads = ReferenceHistory(), []
    for item in stream:
        if isinstance(item, VerdictCount):
            history.report(item)
        elif isinstance(item, Attempt):
            reads.append(history.ask(item.event))
        else:
            reads.append(history.ask(item))
            history.settle(item, reads[-1])
    return np.array(reads, dtype=np.float32).reshape(-1, READ_WIDTH), history


def assert_same_reads(computed: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Agree to one unit in the last place of float32; sums of cosines, which cancel, to 1e-7."""
    np.testing.assert_allclose(computed, expected, rtol=1.2e-7, atol=1e-7)


def assert_same_records(state: State, history: ReferenceHistory) -> None:
    """Agree to the rounding of the stored form."""
    for layout, (keys, records) in zip(LAYOUTS, state.tables, strict=True):
        rows = dict(zip(keys.tolist(), records, strict=True))
        assert len(rows) == len(history.records[layout.kind])
        for key in history.records[layout.kind]:
            expected = history.named(layout.kind, key)
            found = dict(zip(layout.names, rows[key_of(key)], strict=True))
            for name, value in expected.items():
                assert found[name] == pytest.approx(value, rel=1.2e-7, abs=1e-7), (layout.kind, name)


def key_of(name: str | tuple[str, str]) -> int:
    if isinstance(name, str):
        return int(keys_of([name])[0])
    one, other = keys_of([name[0]]), keys_of([name[1]])
    is_device = name[0] not in ACCOUNTS
    return int((handsets(one, other) if is_device else pair_of(one, other))[0])
