"""The index of keys against a dict."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.index import Index

batches = st.lists(st.lists(st.integers(0, 40).map(lambda i: 2 * i * 7919 % 101 + 1), max_size=12), max_size=20)


@settings(max_examples=200)
@given(batches)
def test_rows_are_those_of_a_dict(stream: list[list[int]]) -> None:
    rows, known = Index(least_recent=3), dict[int, int]()
    for batch in stream:
        expected_new = [i for i, key in enumerate(batch) if key not in known and key not in batch[:i]]
        keys = np.array(batch, dtype=np.uint64)
        assert rows.find(keys).tolist() == [known.get(key, -1) for key in batch]
        expected = [known.setdefault(key, len(known)) for key in batch]
        found, new = rows.rows(keys)
        assert (found.tolist(), new) == (expected, expected_new)
        assert rows.find(keys).tolist() == expected
        assert rows.rows(keys)[0].tolist() == expected
        keys[:] = 1_000_003  # a buffer that is used again
        assert rows.find(keys).tolist() == [-1] * len(keys)
    assert rows.keys().tolist() == list(known)
    assert Index(rows.keys()).rows(rows.keys())[0].tolist() == list(known.values())
