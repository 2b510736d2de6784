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
        expected = [known.setdefault(key, len(known)) for key in batch]
        found, new = rows.rows(np.array(batch, dtype=np.uint64))
        assert (found.tolist(), new) == (expected, expected_new)
    assert rows.keys().tolist() == list(known)
    assert Index(rows.keys()).rows(rows.keys())[0].tolist() == list(known.values())
