"""Few rows with ties, both classes and weights."""

from __future__ import annotations

from hypothesis import strategies as st

ROWS = st.lists(
    st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9]), st.booleans(), st.integers(1, 9)), min_size=4, max_size=60
).filter(lambda rows: len({fraud for _, fraud, _ in rows}) == 2)
