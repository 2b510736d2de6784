"""The claims behind a life."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.features.life import LIFE, SideClaim, claims_of, encoded_answer, mark_stored

_WORD = st.binary(max_size=40)
_CLAIMS = st.dictionaries(
    st.sampled_from(("PAYER", "PAYEE")), st.tuples(st.text(max_size=8), st.none() | _WORD.filter(bool))
)


def _value(claims: dict[str, tuple[str, bytes | None]]) -> bytes:
    sides = [SideClaim(side, 1, 2, 3, 4, version or None) for side, (version, _) in claims.items()]
    answers = [encoded_answer(side, answer) for side, (_, answer) in claims.items() if answer]
    return np.zeros(1, dtype=LIFE).tobytes() + b"".join([*(each.encode() for each in sides), *answers])


@given(claims=_CLAIMS)
@pytest.mark.parametrize("side", ["PAYER", "PAYEE"])
def test_a_stored_row_is_noted_in_the_claim_of_its_side_only(
    side: str, claims: dict[str, tuple[str, bytes | None]]
) -> None:
    before = claims_of(_value(claims))
    value = bytearray(_value(claims))
    mark_stored(value, side)
    after = claims_of(bytes(value))
    assert after == {name: each._replace(stored=name == side) for name, each in before.items()}
