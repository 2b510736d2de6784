"""The change of history that a decision makes by itself: a settlement by assumption, or the end of a flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.features.life import LIFE, Lives, encoded_returns, life_of
from shared.features.outcomes import UNDECIDED, Advance, decided, decided_at
from shared.ports.history import CONFLICT, LIFE_KEY, UNPLACED, Changed, Changes, ChangingHistory
from shared.settings import ASSUMED

ROUNDS = 4
"""Attempts at a change: each conflict means that an outcome or another delivery changed the life in between."""

_REJECT = "REJECT"
_APPROVE = "APPROVE"


class Conclusions:
    """Write decisions into the lives of their Pix.

    Assumed outcomes: an approved Pix settles when it was asked for, any other leaves the sums of limits. Published
    outcomes: only a rejected Pix leaves them; the rest is in flight until its outcome.
    """

    def __init__(self, history: ChangingHistory, outcomes: str) -> None:
        self._history = history
        self._assumed = outcomes == ASSUMED

    async def conclude(
        self, end_to_end_ids: Sequence[str], sides: Sequence[str], lives: Lives, decisions: Sequence[str]
    ) -> Changed:
        """Return the places of the change by each decision, UNPLACED for none.

        A decision that was concluded before, by any delivery, keeps its places. One that is not concluded, as its
        life changes too often, is UNDECIDED. History then has the reads of each decision. Raises Unavailable.
        """
        names = np.array(decisions, dtype=object)
        settles = names == _APPROVE if self._assumed else np.zeros(len(names), dtype=bool)
        places = decided_at(lives, sides)
        if not self._assumed:
            places[(names != _REJECT) & (places == UNDECIDED)] = UNPLACED
        own: dict[int, tuple[int, ...]] = {}
        lives = lives.copy() if (places == UNDECIDED).any() else lives
        for _ in range(ROUNDS):
            left = np.flatnonzero(places == UNDECIDED)
            if not len(left):
                break
            ids = [end_to_end_ids[i] for i in left.tolist()]
            after = decided(lives[left], [sides[i] for i in left.tolist()], settles[left])
            changed = await self._history.change(changes_of(ids, lives[left], after))
            places[left] = changed.places
            own |= dict(zip(left.tolist(), changed.visited, strict=True))
            conflicts = left[places[left] == CONFLICT]
            for i in conflicts.tolist():
                del own[i]
            if len(conflicts):
                ids = [end_to_end_ids[i] for i in conflicts.tolist()]
                lives[conflicts] = await self._find(ids, lives[conflicts])
                places[conflicts] = decided_at(lives[conflicts], [sides[i] for i in conflicts.tolist()])
        visited = await self._visited(end_to_end_ids, places, own)
        if (lives["place"] >= 0).any():
            await self._history.keep_reads()
        return Changed(np.where(places == UNDECIDED, places, np.maximum(places, UNPLACED)), visited)

    async def _visited(
        self, ids: Sequence[str], places: NDArray[np.int64], own: Mapping[int, tuple[int, ...]]
    ) -> list[tuple[int, ...]]:
        """Return the places on other shards of changes, by index `own` or made before at some places."""
        known = [i for i, place in enumerate(places.tolist()) if place > 0 and i not in own]
        found: list[tuple[int, ...]] = []
        if known:
            found = await self._history.visited([(LIFE_KEY + ids[i], int(places[i])) for i in known])
        every = dict(zip(known, found, strict=True)) | {**own}
        return [every.get(i, ()) for i in range(len(ids))]

    async def _find(self, ids: list[str], known: Lives) -> Lives:
        """Return the stored lives; one that is gone stays as it was `known`."""
        values = await self._history.find([LIFE_KEY + id_ for id_ in ids])
        return np.concatenate([life_of(value) if value else known[i : i + 1] for i, value in enumerate(values)])


def changes_of(
    end_to_end_ids: Sequence[str],
    before: Lives,
    after: Advance,
    chosen: NDArray[np.int64] | None = None,
    claims: Sequence[bytes] | None = None,
) -> Changes:
    """Return the changes of lives, of all n or of those at the indexes `chosen`; `claims` [n] are new ones."""
    rows = np.arange(len(before)) if chosen is None else chosen
    data, size = after.lives[rows].tobytes(), LIFE.itemsize
    tails = [encoded_returns(after.returns[i]) if after.returns else b"" for i in rows.tolist()]
    if claims:
        tails = [tail + claims[i] for tail, i in zip(tails, rows.tolist(), strict=True)]
    facts, of = after.facts, after.of
    if chosen is not None:
        kept = np.isin(of, rows)
        facts, of = facts[kept], np.searchsorted(rows, of[kept])
    return Changes(
        [LIFE_KEY + end_to_end_ids[i] for i in rows.tolist()],
        before["version"][rows].tolist(),
        [data[place * size : (place + 1) * size] + tail for place, tail in enumerate(tails)],
        after.place_at[rows].tolist(),
        facts,
        of,
    )
