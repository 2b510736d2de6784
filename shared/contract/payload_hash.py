"""The keyed hash of a message that could not be used."""

from __future__ import annotations

import hmac

from shared.contract.derived_key import derived_key

_PURPOSE = b"pix quarantine payload"


class PayloadHash:
    """Hash payloads by HMAC-SHA-256: a plain hash of a short message is reversed by trying.

    Its key is derived for this purpose alone, so that no payload has the hash of a pseudonym.

    >>> hashes = PayloadHash(b"secret"), PayloadHash(b"another")
    >>> len({each(b"message") for each in hashes}), len(hashes[0](b""))
    (2, 64)
    """

    def __init__(self, secret: bytes) -> None:
        """Raise Misconfigured without a secret."""
        self._key = derived_key(secret, _PURPOSE)

    def __call__(self, payload: bytes) -> str:
        """Return the hash in hexadecimal."""
        return hmac.digest(self._key, payload, "sha256").hex()
