"""Places in the order in which a store of history counts its changes.

A place is the epoch in its high 32 bits and a number in the low ones, from 1. A store begins a new epoch whenever its
process is another one, or it is filled: a replica that takes over may lack the last changes, and a number without an
epoch would be given twice. A history in memory has one epoch, 0.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.errors import Misconfigured

_BITS = 32
LAST_NUMBER = (1 << _BITS) - 1
"""The largest number within an epoch."""
EPOCH_ORIGIN = 1_577_836_800
"""2020-01-01 in seconds since 1970: epochs are seconds since then, and fit 31 bits until 2088."""


class Place(NamedTuple):
    """An epoch of a store, and the number of a change within it."""

    epoch: int
    number: int

    @classmethod
    def of(cls, place: int) -> Place:
        """Return the parts of a place.

        >>> Place.of(3 << 32 | 7)
        Place(epoch=3, number=7)
        """
        return cls(place >> _BITS, place & LAST_NUMBER)

    def __int__(self) -> int:
        """Return the place as it is stored.

        >>> int(Place(3, 7)) == 3 << 32 | 7
        True
        """
        return self.epoch << _BITS | self.number


class Epoch(NamedTuple):
    """A former epoch of a store, and the last number in it that the store has; later ones are lost."""

    epoch: int
    kept: int

    @classmethod
    def read(cls, text: bytes) -> Epoch:
        """Return the epoch in the text of a store. Raises Misconfigured."""
        try:
            epoch, kept = map(int, text.split())
        except ValueError:
            raise Misconfigured("the store of history holds no list of epochs") from None
        return cls(epoch, kept)
