"""A table of records keeps each of them while it grows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.features import table as tables
from shared.features.layout import DEVICE
from shared.features.table import RecordTable

_keys = st.lists(st.integers(1, 60).map(lambda key: 2 * key + 1), min_size=1, max_size=30, unique=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(_keys, max_size=30))
def test_the_last_value_of_a_key_is_found_after_growth(
    monkeypatch: pytest.MonkeyPatch, batches: list[list[int]]
) -> None:
    monkeypatch.setattr(tables, "_FIRST_CAPACITY", 4)
    monkeypatch.setattr(tables, "_MOVED", 5)
    table, written = RecordTable(DEVICE), dict[int, float]()
    for number, batch in enumerate(batches):
        rows, new = table.rows(np.array(batch, dtype=np.uint64))
        assert {batch[place] for place in new} == set(batch) - set(written)
        blank = table.records[rows[new], DEVICE.mark_count :]
        assert not blank.any(), "a new record has counted nothing"
        found = table.records[rows, -1]
        assert found.tolist() == [written.get(key, 0.0) for key in batch]
        table.put(rows, np.full((len(batch), DEVICE.width), number + 1.0))
        written |= dict.fromkeys(batch, number + 1.0)
    assert dict(zip(table.keys().tolist(), table.records[: len(table), -1].tolist(), strict=True)) == written
