"""The keyed hash of a message that could not be used."""

from __future__ import annotations

import hmac

from shared.errors import Misconfigured

_PURPOSE = b"pix quarantine payload\x01"


class PayloadHash:
    """Hash payloads by HMAC-SHA-256: a plain hash of a short message is reversed by trying.

    Its key is derived from the pseudonyms' key for this purpose alone (HKDF, RFC 5869, one block), so that no payload
    has the hash of a pseudonym.

    >>> hashes = PayloadHash(b"secret"), PayloadHash(b"another")
    >>> len({each(b"message") for each in hashes}), len(hashes[0](b""))
    (2, 64)
    """

    def __init__(self, key: bytes) -> None:
        """Raise Misconfigured without a key."""
        if not key:
            raise Misconfigured("set PIX_HMAC_KEY, the secret behind the hashes of quarantined messages")
        self._key = hmac.digest(hmac.digest(b"", key, "sha256"), _PURPOSE, "sha256")

    def __call__(self, payload: bytes) -> str:
        """Return the hash in hexadecimal."""
        return hmac.digest(self._key, payload, "sha256").hex()
