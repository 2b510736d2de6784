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
