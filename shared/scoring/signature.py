"""Signed JSON: the content of an object in the bucket of models, and who vouches for it, in one object.

::

    {"environment": "my-project-pix-models", "name": "models/current.json", "counter": 1795185126000000,
     "payload": {...}, "signature": "..."}

The signature is inside, not beside: an object is replaced as a whole, so content and signature can never be of two
writes, and a pointer stays one compare-and-swap. It binds the bytes of the payload, the name of the object (a
manifest is one of one version, a pointer is not a manifest), the environment (a bundle of staging is not one of
production) and the counter (see `shared.scoring.signed_blobs`). A manifest holds the SHA-256 of each other file.

Two algorithms verify, told by the kind of key: Ed25519 (RFC 8032) and ECDSA on P-256 with SHA-256 (FIPS 186-5).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import Raw, Struct

from shared.errors import Misconfigured
from shared.ports.blobs import Signer

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey

_SCHEME = b"pix-fraud-scoring signed object 1"
_ARMOUR = re.compile(r"-----(?:BEGIN|END) PUBLIC KEY-----")
_COUNTER_MAX = 2**63 - 1


class Unsigned(Exception):
    """Bytes that no trusted key has signed for this name and environment."""


class Address(NamedTuple):
    """The address that a signature is for: the environment, which is the name of the bucket, and an object in it."""

    environment: str
    name: str


class Content(NamedTuple):
    """The signed content: JSON, and the counter of its name, in microseconds since the epoch or later."""

    payload: bytes
    counter: int


class _Signed(Struct, frozen=True, forbid_unknown_fields=True):
    environment: str
    name: str
    counter: int
    payload: Raw
    signature: bytes


def public_keys(text: str) -> tuple[PublicKey, ...]:
    """Return the keys in the setting PIX_MODEL_KEYS. Raises Misconfigured.

    Each is a SubjectPublicKeyInfo in base64, with commas between them; the lines around it in PEM may stay.
    """
    bodies = ["".join(each.split()) for each in _ARMOUR.sub(",", text).split(",")]
    return tuple(_public_key(each) for each in bodies if each)


def signed(address: Address, content: Content, signer: Signer) -> bytes:
    """Return signed JSON for an address. Raises Unavailable, Misconfigured."""
    signature = signer.sign(_message(address, content))
    return msgspec.json.encode(_Signed(*address, content.counter, Raw(content.payload), signature))


def verified(data: bytes, address: Address, keys: Sequence[PublicKey]) -> Content:
    """Return the content that one of the keys has signed for an address. Raises Unsigned, whatever the bytes are."""
    try:
        found = msgspec.json.decode(data, type=_Signed)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unsigned(f"it is not signed ({type(error).__name__})") from None
    if (found.environment, found.name) != address:
        raise Unsigned("its signature is for another object or environment")
    if not 0 < found.counter <= _COUNTER_MAX:
        raise Unsigned("its counter is none")
    content = Content(bytes(found.payload), found.counter)
    if not any(_verifies(key, found.signature, _message(address, content)) for key in keys):
        raise Unsigned("no trusted key has signed it")
    return content


def _message(address: Address, content: Content) -> bytes:
    """Return the bytes to sign. A name has no line break, so no two contents have the same bytes."""
    head = (address.environment, address.name, str(content.counter))
    if any("\n" in each for each in head):
        raise Unsigned("a name has no line break")
    return b"\n".join([_SCHEME, *(each.encode() for each in head), content.payload])


def _verifies(key: PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _public_key(text: str) -> PublicKey:
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Misconfigured(f"PIX_MODEL_KEYS has a key that cannot be read ({type(error).__name__})") from None
    if isinstance(key, Ed25519PublicKey) or (
        isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    ):
        return key
    raise Misconfigured("PIX_MODEL_KEYS has a key that is neither Ed25519 nor P-256")
