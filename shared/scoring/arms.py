"""The versions that a claim names while a challenger is tried, and the arm of a paying account.

The arm is drawn by a keyed hash of the challenger and the account: the same on every instance, for both sides of a
Pix and at every delivery, and unknown to whoever chooses an account. The challenger decides for the accounts whose
number is below its share, so an account stays in its arm while the share grows.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import NamedTuple

from shared.contract.derived_key import derived_key, number_of
from shared.scoring.challenge import CHALLENGER, CHAMPION

_PURPOSE = b"pix challenger"
_SEPARATOR = "/"  # no character of a version


class Arm(NamedTuple):
    """The arm of a Pix while a challenger is tried, and the chance that its paying account had of it."""

    name: str
    propensity: float
    champion: str | None
    challenger: str

    @property
    def version(self) -> str | None:
        """The version that is to decide."""
        return self.challenger if self.name == CHALLENGER else self.champion


class Assignment(NamedTuple):
    """The versions that a claim names: the champion, and the challenger with its share of accounts, if one is tried.

    A claim keeps all that the draw rests on, so that a redelivery has the same arm after a step of a ramp.
    """

    champion: str | None
    challenger: str | None = None
    share: float = 0.0

    def encode(self) -> str | None:
        """Return the text that a claim keeps; without a challenger it is the version of the champion.

        >>> Assignment("v1").encode(), Assignment("v1", "v2", 0.1).encode()
        ('v1', 'v1/v2/0.1')
        """
        if self.challenger is None:
            return self.champion
        return _SEPARATOR.join((self.champion or "", self.challenger, repr(self.share)))

    @classmethod
    def decode(cls, text: str | None) -> Assignment:
        """Return the assignment that `encode` wrote."""
        return _decoded(text)

    def arm(self, number: float) -> Arm | None:
        """Return the arm of an account with a number in [0, 1), None if no challenger is tried.

        >>> Assignment("v1", "v2", 0.1).arm(0.05)
        Arm(name='CHALLENGER', propensity=0.1, champion='v1', challenger='v2')
        >>> Assignment("v1", "v2", 0.1).arm(0.5)
        Arm(name='CHAMPION', propensity=0.9, champion='v1', challenger='v2')
        """
        if self.challenger is None:
            return None
        if number < self.share:
            return Arm(CHALLENGER, self.share, self.champion, self.challenger)
        return Arm(CHAMPION, 1.0 - self.share, self.champion, self.challenger)


@lru_cache(maxsize=64)
def _decoded(text: str | None) -> Assignment:
    if text is None or _SEPARATOR not in text:
        return Assignment(text)
    champion, challenger, share = text.split(_SEPARATOR)
    return Assignment(champion or None, challenger, float(share))


class AccountDraw:
    """Give each paying account its number in the test of a challenger.

    >>> draw = AccountDraw(b"secret")
    >>> draw("v2", "account") == draw("v2", "account"), draw("v2", "account") == draw("v3", "account")
    (True, False)
    """

    def __init__(self, secret: bytes) -> None:
        """Derive the key from the secret of the pseudonyms. Raises Misconfigured without one."""
        self._key = derived_key(secret, _PURPOSE)

    def __call__(self, challenger: str, payer_id: str) -> float:
        """Return the number in [0, 1) of the account with that pseudonym."""
        digest = hmac.digest(self._key, f"{challenger}{_SEPARATOR}{payer_id}".encode(), "sha256")
        return number_of(digest)
