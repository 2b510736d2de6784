"""An index from keys to rows: a sorted array, and a dict of the keys added since it was sorted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.features.keys import Keys

Rows = NDArray[np.int64]

_RECENT_SHARE = 16


class Index:
    """Row numbers of keys, in the order in which the keys are first seen.

    A dict alone takes some 140 bytes a key, this takes 20. The dict holds at most `least_recent` keys or, if that is
    more, one in `_RECENT_SHARE`; merging it into a million sorted keys takes about 20 ms.
    """

    def __init__(self, keys: Keys | None = None, least_recent: int = 8192) -> None:
        given = np.empty(0, dtype=np.uint64) if keys is None else keys
        order = np.argsort(given, kind="stable")
        self._keys: Keys = given[order]
        self._rows = order.astype(np.int32)
        self._recent: dict[int, int] = {}
        self._least_recent = least_recent
        self._last: tuple[Keys, Rows] = (np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64))
        """The last look-up and its answer: the Pix of a batch are asked for, and settled with the same keys."""

    def __len__(self) -> int:
        return len(self._keys) + len(self._recent)

    def keys(self) -> Keys:
        """Return all keys in the order of their rows."""
        keys = np.empty(len(self), dtype=np.uint64)
        keys[self._rows] = self._keys
        keys[len(self._keys) :] = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
        return keys

    def rows(self, keys: Keys) -> tuple[Rows, list[int]]:
        """Return the row of each key, added if new, and the indexes of the new keys in `keys`."""
        found = self.find(keys)
        missing = (found < 0).nonzero()[0]
        if not len(missing):
            return found, []
        known, before = self._recent, len(self)
        new: list[int] = []
        unknown = keys[missing].tolist()
        for i, key in zip(missing.tolist(), unknown, strict=True):
            if key not in known:
                known[key] = before + len(new)
                new.append(i)
        found = found.copy()
        found[missing] = [known[key] for key in unknown]
        self._last = keys.copy(), found
        if len(known) > max(self._least_recent, len(self._keys) // _RECENT_SHARE):
            self._merge()
        return found, new

    def find(self, keys: Keys) -> Rows:
        """Return the row of each key, -1 where it is not known; do not change the rows, which may be given again."""
        asked, found = self._last
        if len(asked) == len(keys) and (asked == keys).all():
            return found
        found = self._find_sorted(keys)
        missing = (found < 0).nonzero()[0]
        if self._recent and len(missing):
            found[missing] = [self._recent.get(key, -1) for key in keys[missing].tolist()]
        self._last = keys.copy(), found
        return found

    def _find_sorted(self, keys: Keys) -> Rows:
        """Return the row of each key in the sorted array, -1 if it is not there."""
        if not len(self._keys):
            return np.full(len(keys), -1, dtype=np.int64)
        place = np.minimum(self._keys.searchsorted(keys), len(self._keys) - 1)
        return np.where(self._keys[place] == keys, self._rows[place], -1).astype(np.int64)

    def _merge(self) -> None:
        recent = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
        order = np.argsort(recent)
        place = self._keys.searchsorted(recent[order])
        self._rows = np.insert(self._rows, place, (order + len(self._keys)).astype(np.int32))
        self._keys = np.insert(self._keys, place, recent[order])
        self._recent = {}
