"""Pseudonyms are HMAC-SHA-256."""

import hmac

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.pseudonyms import ACCOUNT, DEVICE, KEY, LOT_AT, PERSON, Pseudonymiser
from shared.errors import Misconfigured
from shared.features.keys import keys_of, lot_of
from shared.features.shards import shard_of


@given(st.binary(min_size=1, max_size=200), st.sampled_from((PERSON, ACCOUNT, KEY, DEVICE)), st.text(max_size=80))
def test_a_pseudonym_is_half_of_the_hmac_of_kind_and_text(key: bytes, kind: bytes, text: str) -> None:
    expected = hmac.digest(key, kind + b"\0" + text.encode(), "sha256")[:16].hex()
    assert Pseudonymiser(key).pseudonym(kind, text) == expected


@given(st.lists(st.binary(min_size=1, max_size=80), min_size=2, max_size=2, unique=True), st.text(max_size=80))
def test_a_shard_key_gives_one_lot_and_nothing_else_in_common(keys: list[bytes], text: str) -> None:
    one, other = (Pseudonymiser(key + b".shards.same").pseudonym(PERSON, text) for key in keys)
    assert one[:LOT_AT] != other[:LOT_AT]
    assert one[LOT_AT:] == other[LOT_AT:]
    assert len(one) == 32
    assert lot_of(keys_of([one, other])).tolist() == [int(one[LOT_AT + 1 :], 16)] * 2


def test_lots_differ_by_kind_and_shard_key_and_are_even() -> None:
    one, other = (Pseudonymiser(b"key.shards." + shard_key) for shard_key in (b"one", b"other"))
    accounts = [one.pseudonym(ACCOUNT, str(number)) for number in range(4_000)]
    for each, kind in ((one, PERSON), (other, ACCOUNT)):
        others = [each.pseudonym(kind, str(number)) for number in range(9)]
        assert not {id_[LOT_AT:] for id_ in others} & {id_[LOT_AT:] for id_ in accounts[:9]}
    counts = np.bincount(shard_of(keys_of(accounts), 7), minlength=7)
    assert counts.min() > 450, "571 on average, by chance within 70"
    assert len({*keys_of(accounts).tolist()}) == len(accounts), "the keys of accounts of a lot differ"


def test_pseudonyms_differ_by_kind_and_key() -> None:
    kinds = (PERSON, ACCOUNT, KEY, DEVICE)
    seen = {Pseudonymiser(key).pseudonym(kind, "12345678909") for key in (b"a", b"b") for kind in kinds}
    assert len(seen) == 8


def test_the_fingerprint_of_a_key_is_its_own_and_no_part_of_it() -> None:
    keys = [bytes([each]) * 32 for each in range(64)]
    fingerprints = {Pseudonymiser(key).fingerprint for key in keys}
    assert (len(fingerprints), {len(each) for each in fingerprints}) == (64, {8})
    texts = [text for key in keys for text in (key.hex(), Pseudonymiser(key).pseudonym(PERSON, ""))]
    assert not any(each in text for each in fingerprints for text in texts)


def test_without_a_key_there_are_no_pseudonyms() -> None:
    with pytest.raises(Misconfigured):
        Pseudonymiser(b"")
