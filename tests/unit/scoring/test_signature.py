"""Only what a trusted key has signed, for this name and environment, is believed."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.key_file import KeyFileSigner
from shared.errors import Misconfigured
from shared.scoring.signature import Address, Content, Unsigned, public_keys, signed, verified
from tests.model_keys import SIGNER

ADDRESS = Address("production", "models/current.json")
CONTENT = Content(b'{"version": "v1",  "amount": 1.50}', 7)
KEYS = public_keys(SIGNER.public_key)
GOOD = signed(ADDRESS, CONTENT, SIGNER)


class P256:
    """A signer as Cloud KMS is one."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message, ECDSA(SHA256()))


def text_of(key: Any, encoding: Encoding = Encoding.DER) -> str:
    data = key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    return data.decode() if encoding is Encoding.PEM else base64.b64encode(data).decode()


def test_what_was_signed_is_returned_to_the_byte() -> None:
    assert verified(GOOD, ADDRESS, KEYS) == CONTENT
    assert json.loads(GOOD)["payload"] == {"version": "v1", "amount": 1.5}, "people can read it"


def test_both_algorithms_and_several_keys_verify_in_any_spelling() -> None:
    cloud = P256()
    both = public_keys(f"{text_of(cloud.key, Encoding.PEM)}\n, {SIGNER.public_key},")
    assert len(both) == 2
    for signer in (cloud, SIGNER):
        assert verified(signed(ADDRESS, CONTENT, signer), ADDRESS, both) == CONTENT
    with pytest.raises(Unsigned, match="no trusted key"):
        verified(signed(ADDRESS, CONTENT, cloud), ADDRESS, KEYS)
    with pytest.raises(Unsigned):
        verified(GOOD, ADDRESS, ())


@pytest.mark.parametrize(
    "address",
    [Address("staging", ADDRESS.name), Address(ADDRESS.environment, "models/v1/manifest.json"), Address("", "")],
)
def test_a_signature_is_for_one_object_in_one_environment(address: Address) -> None:
    with pytest.raises(Unsigned, match="another object"):
        verified(GOOD, address, KEYS)
    moved = json.loads(GOOD) | address._asdict()
    with pytest.raises(Unsigned, match="no trusted key"):
        verified(json.dumps(moved).encode(), address, KEYS)


@pytest.mark.parametrize(
    "changed",
    [
        {"counter": 8},
        {"counter": 0},
        {"counter": -7},
        {"counter": 2**64},
        {"counter": None},
        {"payload": {"version": "v2"}},
        {"signature": ""},
        {"signature": base64.b64encode(bytes(64)).decode()},
        {"signature": "not base64"},
        {"another": 1},
    ],
)
def test_a_changed_field_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Unsigned):
        verified(json.dumps(json.loads(GOOD) | changed).encode(), ADDRESS, KEYS)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_altered_byte_changes_what_is_believed(at: int, flipped: int) -> None:
    altered = GOOD[:at] + bytes([GOOD[at] ^ flipped]) + GOOD[at + 1 :]
    with contextlib.suppress(Unsigned):
        assert verified(altered, ADDRESS, KEYS) == CONTENT


@given(st.binary() | st.sampled_from([b"", b"null", b"[" * 100_000, CONTENT.payload, b'{"payload":' * 50_000]))
def test_other_bytes_are_refused_and_raise_nothing_else(data: bytes) -> None:
    with pytest.raises(Unsigned):
        verified(data, ADDRESS, KEYS)


@given(st.lists(st.text(max_size=4), min_size=3, max_size=3), st.lists(st.text(max_size=4), min_size=3, max_size=3))
def test_different_contents_never_share_a_signature(one: list[str], other: list[str]) -> None:
    def made(texts: list[str]) -> tuple[Address, Content, bytes]:
        address, content = Address(texts[0], texts[1]), Content(msgspec.json.encode(texts[2]), 1)
        return address, content, signed(address, content, SIGNER)

    try:
        (address, content, _), (_, _, taken) = made(one), made(other)
    except Unsigned:
        return  # a name with a line break
    forged = json.loads(taken) | address._asdict() | {"payload": json.loads(content.payload)}
    if one != other:
        with pytest.raises(Unsigned):
            verified(msgspec.json.encode(forged), address, KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "AAAA",
        text_of(rsa.generate_private_key(65537, 2048)),
        text_of(ed448.Ed448PrivateKey.generate()),
        text_of(ec.generate_private_key(ec.SECP384R1())),
        f"{SIGNER.public_key} {SIGNER.public_key}",
    ],
    ids=["text", "base64", "rsa", "ed448", "p384", "two"],
)
def test_a_setting_with_another_key_is_refused_without_its_text(text: str) -> None:
    with pytest.raises(Misconfigured, match="PIX_MODEL_KEYS") as refusal:
        public_keys(text)
    assert text not in str(refusal.value)


def test_a_key_of_one_process_signs_for_all_that_share_its_file(tmp_path: Any) -> None:
    file = tmp_path / "folder" / "key.pem"
    one, other = KeyFileSigner.kept(file), KeyFileSigner.kept(file)
    assert one.public_key == other.public_key == KeyFileSigner.of(file).public_key
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["key.pem"]


@pytest.mark.parametrize("content", [None, b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_file_without_a_key_is_named(tmp_path: Any, content: bytes | None) -> None:
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Misconfigured, match=r"PIX_MODEL_SIGNER.*key\.pem"):
        KeyFileSigner.of(file)
