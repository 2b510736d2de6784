"""Keys for one purpose each, derived from the secret behind the pseudonyms."""

from __future__ import annotations

import hmac

from shared.errors import Misconfigured


def derived_key(secret: bytes, purpose: bytes) -> bytes:
    """Return the key of a purpose, 32 bytes (HKDF, RFC 5869, one block): no use of one tells anything about another.

    Raises Misconfigured without a secret.

    >>> len(derived_key(b"secret", b"a")), derived_key(b"secret", b"a") == derived_key(b"secret", b"b")
    (32, False)
    """
    if not secret:
        raise Misconfigured("set PIX_HMAC_KEY, the secret from which keys are derived")
    return hmac.digest(hmac.digest(b"", secret, "sha256"), purpose + b"\x01", "sha256")


def number_of(digest: bytes) -> float:
    """Return the number in [0, 1) that the first bytes of a digest stand for, of as many bits as a float holds.

    >>> number_of(bytes([128] + [0] * 31))
    0.5
    """
    return float((int.from_bytes(digest[:8]) >> (64 - _BITS)) / 2.0**_BITS)


_BITS = 53
