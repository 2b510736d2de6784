"""The hash of a quarantined message is keyed, and is not a pseudonym."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.payload_hash import PayloadHash
from shared.contract.pseudonyms import ACCOUNT, DEVICE, KEY, PERSON, Pseudonymiser
from shared.errors import Misconfigured

SECRET = b"a key of the tests that is long enough"


@given(st.binary(max_size=60), st.sampled_from([PERSON, ACCOUNT, KEY, DEVICE]))
def test_a_hash_cannot_be_found_without_the_key_nor_by_a_pseudonym(payload: bytes, kind: bytes) -> None:
    found = PayloadHash(SECRET)(payload)
    assert found == PayloadHash(SECRET)(payload)
    assert found != PayloadHash(SECRET + b"2")(payload)
    assert found != hashlib.sha256(payload).hexdigest()
    assert found != hmac.digest(SECRET, payload, "sha256").hex(), "another use of the key"
    assert not found.startswith(Pseudonymiser(SECRET).pseudonym(kind, payload.decode("latin-1")))


def test_a_key_is_required() -> None:
    with pytest.raises(Misconfigured, match="PIX_HMAC_KEY"):
        PayloadHash(b"")
