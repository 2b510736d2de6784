"""Keys of records: 60 bits of a pseudonym, 8 bytes each.

Twelve of them are the lot of the id, by which shards of history divide ids among themselves. A pseudonym may name its
lot (`shared.contract.pseudonyms`), which it keeps under another HMAC key. Of others the lot is part of the hash.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.contract.pseudonyms import LOT_AT, LOT_MARK, LOTS

Keys = NDArray[np.uint64]
"""Odd and below 2^60; 0 stands for an id that is missing."""

ID_WIDTH = 32
_WORDS = ID_WIDTH // 8
_LOT_BITS = np.uint64((LOTS - 1) << 1)
_DIGITS = np.array([256, 16, 1], dtype=np.uint64)
# Odd constants of SplitMix64 (Steele, Lea, Flood 2014) and of xxHash64.
_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xC2B2AE3D27D4EB4F, 0x27D4EB2F165667C5],
    dtype=np.uint64,
)


def keys_of(ids: Sequence[str] | NDArray[np.bytes_]) -> Keys:
    """Return the keys [n] of pseudonyms (of which 32 characters count); an empty one has the key 0.

    >>> keys_of(["", "1b7d1ef8866dfd1a85fdeba74d6bb9df"]).tolist()
    [0, 687386926137734123]
    """
    words = np.asarray(ids, dtype=f"S{ID_WIDTH}").view(np.uint64).reshape(-1, _WORDS)
    keys = np.where(words[:, 0] == 0, np.uint64(0), fingerprints_of(words))
    characters = words.view(np.uint8)
    named = np.flatnonzero(characters[:, LOT_AT] == ord(LOT_MARK))
    if len(named):
        lots = _named_lots(characters[named, LOT_AT + 1 :])
        keys[named] = (keys[named] & ~_LOT_BITS) | ((lots << np.uint64(1)) & _LOT_BITS)
    return keys


def lot_of(keys: Keys) -> Keys:
    """Return the lot [n] of each key, 0 to LOTS - 1.

    >>> lot_of(keys_of(["9c08879279395002d3b458278792-10e"])).tolist()
    [270]
    """
    lots: Keys = (keys & _LOT_BITS) >> np.uint64(1)
    return lots


def _named_lots(digits: NDArray[np.uint8]) -> Keys:
    """Return the lots [n] of their three hexadecimal digits [n, 3] in ASCII, of which letters have the bit 64."""
    values = (digits & 15) + 9 * (digits >> 6)
    lots: Keys = (values * _DIGITS).sum(axis=1, dtype=np.uint64)
    return lots


def fingerprints_of(words: Keys) -> Keys:
    """Return a hash [n] of rows of up to five words [n, words], in which the order of the words counts.

    >>> fingerprints_of(np.array([[1, 2], [2, 1]], dtype=np.uint64)).tolist()
    [805291367231651307, 930378337385030133]
    """
    return _finish(((words ^ (words >> np.uint64(29))) * _FACTORS[: words.shape[1]]).sum(axis=1, dtype=np.uint64))


def pair_of(one: Keys, other: Keys) -> Keys:
    """Return the keys [n] of ordered pairs; a pair with a missing part is missing."""
    mixed = (one * _FACTORS[0]) ^ (other * _FACTORS[1] + _FACTORS[2])
    return np.where((one == 0) | (other == 0), np.uint64(0), _finish(mixed))


def _finish(mixed: Keys) -> Keys:
    mixed = (mixed ^ (mixed >> np.uint64(32))) * _FACTORS[3]
    return ((mixed ^ (mixed >> np.uint64(29))) >> np.uint64(4)) | np.uint64(1)
