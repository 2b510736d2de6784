"""Keyed hashes of the desk: proofs that a form is ours, ids of its messages, and the draw of second reviews."""

from __future__ import annotations

import hmac
import secrets

from shared.contract.derived_key import derived_key
from shared.desk.records import CaseId

_PURPOSE = b"pix desk"
_NONCE_BYTES = 12
REVIEW_PREFIX = "desk-"
"""Start of the ids of the desk's events, and so of its reports."""


class DeskKey:
    """Hashes by a key derived for the desk alone.

    A form's token is a nonce and its hash with user and case: another site cannot make one (CSRF), another user
    cannot use it, and the same form sent twice has the same review id.

    >>> key, case = DeskKey(b"secret"), CaseId("E1", "PAYER")
    >>> token = key.token("ana", case.text)
    >>> key.is_token(token, "ana", case.text), key.is_token(token, "bia", case.text)
    (True, False)
    """

    def __init__(self, secret: bytes) -> None:
        """Raise Misconfigured without a secret."""
        self._key = derived_key(secret, _PURPOSE)

    def token(self, user: str, about: str) -> str:
        """Return a new token of a form."""
        nonce = secrets.token_hex(_NONCE_BYTES)
        return f"{nonce}{self._hash('form', nonce, user, about)}"

    def is_token(self, token: str, user: str, about: str) -> bool:
        """Return whether a token was made here for this user and subject."""
        nonce, proof = token[: 2 * _NONCE_BYTES], token[2 * _NONCE_BYTES :]
        return hmac.compare_digest(proof.encode(), self._hash("form", nonce, user, about).encode())

    def review_id(self, token: str, case: CaseId, user: str, event: str) -> str:
        """Return the id of an event, the same for each sending of a form."""
        return f"{REVIEW_PREFIX}{self._hash('review', token, case.text, user, event)}"

    def is_drawn(self, case: CaseId, share: float) -> bool:
        """Return whether a case is among the share that is judged twice; nobody can foresee it.

        >>> DeskKey(b"secret").is_drawn(CaseId("E1", "PAYER"), 0.0)
        False
        """
        return int(self._hash("second", case.text)[:13], 16) / 16**13 < share

    def _hash(self, *parts: str) -> str:
        return hmac.digest(self._key, "\0".join(parts).encode(), "sha256")[:16].hex()
