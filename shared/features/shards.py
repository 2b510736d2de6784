"""Shards: the parts into which a store divides history, each with places of its own.

The records of a key are on the shard of its lot, and the contacts of a payer, which are kept together, on that of the
payer. A value, such as the life of a Pix, is on the shard of its id, as an outcome names nothing else. This shard is
the *home* of the value. A fact is counted there first, and then, by *visits*, on each other shard that has one of its
records. A record has all its facts from one shard, so the shards together hold the same records as one would.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.features.facts import PLACES, Facts
from shared.features.keys import Keys, lot_of
from shared.features.layout import CONTACT, ROLES
from shared.features.places import Place

NOWHERE = -1
"""The shard of a missing key."""
Shards = NDArray[np.int64]

_CONTACTS = [place for place, role in enumerate(ROLES) if role.layout is CONTACT]


def shard_of(keys: Keys, shards: int) -> Shards:
    """Return the shard of each record by the lot of its key, or of contacts by that of their payer's.

    It is NOWHERE for a missing key.

    >>> shard_of(np.array([0, 687386926137734123], dtype=np.uint64), 3).tolist()
    [-1, 2]
    """
    return np.where(keys == 0, NOWHERE, (lot_of(keys) % np.uint64(shards)).astype(np.int64))


def home_of(ids: Iterable[str], shards: int) -> Shards:
    """Return the home [n] of values by their ids.

    >>> home_of(["E1", "E2", "E3"], 3).tolist()
    [0, 0, 2]
    """
    return np.array([zlib.crc32(id_.encode()) % shards for id_ in ids], dtype=np.int64)


def shards_of(facts: Facts, shards: int) -> Shards:
    """Return the shard [n, len(ROLES)] of each record that facts name."""
    found = shard_of(facts.keys, shards)
    payer = found[:, PLACES["payer"]]
    for place in _CONTACTS:
        found[:, place] = np.where(facts.keys[:, place] == 0, NOWHERE, payer)
    return found


def masked(facts: Facts, of: Shards, shard: int) -> Facts:
    """Return facts that name only the records of one shard, given `of` from `shards_of`."""
    return Facts(np.where(of == shard, facts.keys, np.uint64(0)), facts.at, facts.weights, facts.marks)


class Shard(NamedTuple):
    """One of the shards of a history; by default the only one."""

    number: int = 0
    shards: int = 1
    """The number of shards of the history."""

    @classmethod
    def each(cls, shards: int) -> list[Shard]:
        """Return all shards of a history."""
        return [cls(number, shards) for number in range(shards)]

    @property
    def is_only(self) -> bool:
        """Return whether the history has no other shard."""
        return self.shards == 1

    def holds(self, place: int) -> bool:
        """Return whether a place is one of this shard."""
        return self.is_only or Place.of(place).shard == self.number

    def places(self, places: Sequence[int]) -> list[int]:
        """Return those of some places that are on this shard.

        >>> Shard(1, 3).places([int(Place(9, 4, 1)), int(Place(9, 7, 2))]) == [int(Place(9, 4, 1))]
        True
        """
        return [place for place in places if self.holds(place)]

    def masked(self, facts: Facts) -> Facts:
        """Return facts that name only the records of this shard."""
        return facts if self.is_only else masked(facts, shards_of(facts, self.shards), self.number)


ONLY = Shard()
"""The shard of a history that is not divided."""
