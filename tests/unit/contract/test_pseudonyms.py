"""Pseudonyms are HMAC-SHA-256."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.pseudonyms import ACCOUNT, DEVICE, KEY, PERSON, Pseudonymiser
from shared.errors import Misconfigured


@given(st.binary(min_size=1, max_size=200), st.sampled_from((PERSON, ACCOUNT, KEY, DEVICE)), st.text(max_size=80))
def test_a_pseudonym_is_half_of_the_hmac_of_kind_and_text(key: bytes, kind: bytes, text: str) -> None:
    expected = hmac.digest(key, kind + b"\0" + text.encode(), "sha256")[:16].hex()
    assert Pseudonymiser(key).pseudonym(kind, text) == expected


def test_pseudonyms_differ_by_kind_and_key() -> None:
    kinds = (PERSON, ACCOUNT, KEY, DEVICE)
    seen = {Pseudonymiser(key).pseudonym(kind, "12345678909") for key in (b"a", b"b") for kind in kinds}
    assert len(seen) == 8


def test_without_a_key_there_are_no_pseudonyms() -> None:
    with pytest.raises(Misconfigured):
        Pseudonymiser(b"")
