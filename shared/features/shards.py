"""Shards: the parts into which a store divides history, each with places of its own.

The records of a key are on the shard of the key, and the contacts of a payer, which are kept together, on that of the
payer. A value, such as the life of a Pix, is on the shard of its id, as an outcome names nothing else. This shard is
the *home* of the value. A fact is counted there first, and then, by *visits*, on each other shard that has one of its
records. A record has all its facts from one shard, so the shards together hold the same records as one would.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from shared.features.facts import PLACES, Facts
from shared.features.keys import Keys
from shared.features.layout import CONTACT, ROLES

NOWHERE = -1
"""The shard of a missing key."""
Shards = NDArray[np.int64]

_CONTACTS = [place for place, role in enumerate(ROLES) if role.layout is CONTACT]


def shard_of(keys: Keys, shards: int) -> Shards:
    """Return the shard of each record by its key, or of contacts by that of their payer; NOWHERE for a missing key.

    >>> shard_of(np.array([0, 687386926137734123], dtype=np.uint64), 3).tolist()
    [-1, 2]
    """
    return np.where(keys == 0, NOWHERE, ((keys >> np.uint64(1)) % np.uint64(shards)).astype(np.int64))


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
