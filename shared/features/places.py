"""Places in the order in which a store of history counts its changes.

A place is the epoch in its high 32 bits, then the shard of history in 6 bits and a number in 26, from 1. A shard
begins a new epoch whenever its process is another one, it is filled, or its numbers are used up: a replica that takes
over may lack the last changes, and a number without an epoch would be given twice. A history in memory has one epoch,
0, and one shard, so that its number takes all low bits.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.errors import Misconfigured

_BITS, _NUMBER_BITS = 32, 26
LAST_NUMBER = (1 << _NUMBER_BITS) - 1
"""The largest number within an epoch of a shard."""
SHARDS_MAX = 1 << (_BITS - _NUMBER_BITS)
"""Shards of one history, at most."""
EPOCH_ORIGIN = 1_577_836_800
"""2020-01-01 in seconds since 1970: epochs are seconds since then, and fit 31 bits until 2088."""


class Place(NamedTuple):
    """An epoch of a store, the number of a change within it, and the shard that counted the change."""

    epoch: int
    number: int
    shard: int = 0

    @classmethod
    def of(cls, place: int) -> Place:
        """Return the parts of a place.

        >>> Place.of(3 << 32 | 2 << 26 | 7)
        Place(epoch=3, number=7, shard=2)
        """
        epoch, low = place >> _BITS, place & ((1 << _BITS) - 1)
        return cls(epoch, low & LAST_NUMBER, low >> _NUMBER_BITS) if epoch else cls(0, low)

    def __int__(self) -> int:
        """Return the place as it is stored.

        >>> int(Place(3, 7, 2)) == 3 << 32 | 2 << 26 | 7
        True
        """
        return self.epoch << _BITS | self.shard << _NUMBER_BITS | self.number

    @property
    def part(self) -> int:
        """Return the number of the epoch and shard, the high 38 bits of the place."""
        return int(self) >> _NUMBER_BITS


class Epoch(NamedTuple):
    """A former epoch of a shard, and the last number in it that the shard has; later ones are lost."""

    epoch: int
    kept: int
    shard: int = 0

    @property
    def part(self) -> int:
        """Return the number of the epoch and shard, as in `Place.part`."""
        return Place(self.epoch, 0, self.shard).part

    @classmethod
    def read(cls, text: bytes, shard: int = 0) -> Epoch:
        """Return the epoch of a shard in the text of a store. Raises Misconfigured."""
        try:
            epoch, kept = map(int, text.split())
        except ValueError:
            raise Misconfigured("the store of history holds no list of epochs") from None
        return cls(epoch, kept, shard)
