"""The returns and claims behind a life."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.features.life import (
    LIFE,
    NO_RETURNS,
    SideClaim,
    claims_of,
    encoded_answer,
    encoded_returns,
    mark_stored,
    returns_of,
)

_WORD = st.binary(max_size=40)
_CLAIMS = st.dictionaries(
    st.sampled_from(("PAYER", "PAYEE")), st.tuples(st.text(max_size=8), st.none() | _WORD.filter(bool))
)


_RETURNS = st.lists(st.tuples(st.integers(1, 2**64 - 1), st.integers(-1, 2**62)), max_size=5)


def _value(claims: dict[str, tuple[str, bytes | None]], returns: list[tuple[int, int]]) -> bytes:
    sides = [SideClaim(side, 1, 2, 3, 4, version or None) for side, (version, _) in claims.items()]
    answers = [encoded_answer(side, answer) for side, (_, answer) in claims.items() if answer]
    known = encoded_returns(np.array(returns, dtype=NO_RETURNS.dtype))
    return np.zeros(1, dtype=LIFE).tobytes() + known + b"".join([*(each.encode() for each in sides), *answers])


@given(claims=_CLAIMS, returns=_RETURNS)
@pytest.mark.parametrize("side", ["PAYER", "PAYEE"])
def test_a_stored_row_is_noted_in_the_claim_of_its_side_only(
    side: str, claims: dict[str, tuple[str, bytes | None]], returns: list[tuple[int, int]]
) -> None:
    before = claims_of(_value(claims, returns))
    value = bytearray(_value(claims, returns))
    mark_stored(value, side)
    after = claims_of(bytes(value))
    assert returns_of(value).tolist() == returns
    assert after == {name: each._replace(stored=name == side) for name, each in before.items()}
