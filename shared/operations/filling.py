"""Places in history for stored decisions whose rows lack them.

A row lacks a place where history did not answer when the Pix was decided, or answered too late, or has lost the place
since. History is asked for each such Pix again, under the claim of its row. If a call that timed out had counted it,
that place is found; otherwise it is counted now. Its place, and its features as of that place, are appended to
`pix.fills`. Outcomes and reports that history has not counted are counted then, and their rows appended again.

A row of which only one shard has lost its part is found by its life, which still has its place; that shard counts
its part again, and the features stay those of the decision. Once the life is forgotten, the row stays without. So
does that of a side where only the other one was counted: the Pix counts once. Where the home of a Pix has lost it and
others have not, the features by which a settlement counts stay those of the decision, as it may have counted there.

Each step may be repeated: the life of a Pix remembers its place, and the place of each change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.contract.rows import FeedbackRow, FillRow, OutcomeRow
from shared.errors import Misconfigured, PixError, Unavailable
from shared.features.columns import Columns, Events
from shared.features.facts import Facts
from shared.features.history import READ_WIDTH
from shared.features.life import REBUILT, RECOUNTED, UNCOUNTED, Lives, asked
from shared.features.outcomes import UNDECIDED, Advance
from shared.features.rebuilding import read_as_decided
from shared.features.vector import feature_matrix
from shared.ports.history import LIFE_KEY, UNPLACED, Changed
from shared.ports.places import Unplaced, UnplacedPeriod, UnplacedRows
from shared.ports.tables import Table
from shared.scoring.conclusions import Conclusions, changes_of
from shared.scoring.guarded_history import ScoringHistory

BATCH = 256
"""Decisions in one call of history, at most: as many as the score function sends."""
PAGE = 20_000
"""Decisions in memory, at most."""

Errors = Awaitable[Mapping[int, PixError]]


@dataclass(frozen=True, slots=True)
class Filling:
    """The services of a filling."""

    unplaced: UnplacedRows
    history: ScoringHistory
    conclusions: Conclusions
    fills: Table
    tell: Callable[[Sequence[OutcomeRow]], Errors]
    """Count outcomes and append their rows, as the outcome function does; return the errors of the others."""
    report: Callable[[Sequence[FeedbackRow]], Errors]
    """The same of reports, as the label function does."""
    now: Callable[[], int]
    """The time in microseconds."""


class Filled(Struct):
    """The numbers of rows that found their places, and of those `left` without."""

    decisions: int = 0
    outcomes: int = 0
    reports: int = 0
    left: int = 0
    """Decisions of which history cannot tell the place, because another message has the id or their reads are gone,
    and outcomes and reports that have to wait."""

    @property
    def any(self) -> bool:
        """Return whether a row found its place."""
        return bool(self.decisions or self.outcomes or self.reports)


async def fill(filling: Filling, window: UnplacedPeriod, limit: int, advance: Callable[[int], None]) -> Filled:
    """Find the places of at most `limit` decisions of a window, and of the outcomes and reports that need them.

    `advance` receives the number of rows of each part that is done. Raises Unavailable, also while history is empty,
    and Misconfigured; places filled before stay.
    """
    filled = Filled()
    last: Unplaced | None = None
    while limit > 0 and (page := await _page(filling, window, last, min(limit, PAGE))):
        for batch in _batches(page):
            found = await _fill(filling, batch)
            filled.decisions += found
            filled.left += len(batch) - found
            advance(len(batch))
        last, limit = page[-1], limit - len(page)
    await filling.history.settle()
    outcomes = await asyncio.to_thread(filling.unplaced.outcomes, window)
    filled.outcomes = await _again(filling, outcomes, filling.tell, filled, advance)
    reports = await asyncio.to_thread(filling.unplaced.reports, window)
    filled.reports = await _again(filling, reports, filling.report, filled, advance)
    return filled


async def _page(filling: Filling, window: UnplacedPeriod, last: Unplaced | None, limit: int) -> list[Unplaced]:
    return await asyncio.to_thread(filling.unplaced.scores, window, last, limit)


def _batches(page: Sequence[Unplaced]) -> Iterator[list[Unplaced]]:
    """Yield the decisions of one claim each, BATCH at most."""
    for _, group in groupby(page, key=lambda each: each.claim):
        same = list(group)
        for start in range(0, len(same), BATCH):
            yield same[start : start + BATCH]


async def _fill(filling: Filling, batch: Sequence[Unplaced]) -> int:
    """Append the fills of decisions under one claim; return their number."""
    batch = await _alive(filling.history, batch)
    if not batch:
        return 0
    events, claim = Events(each.event for each in batch), batch[0].claim
    seen = await filling.history.observe(events, claim)
    if np.all(seen.lives["place"] == UNCOUNTED):
        raise Unavailable("the store of history is empty")
    known = (seen.lives["place"] >= 0) & ((seen.lives["flags"] & REBUILT) == 0) & ~seen.taken
    rows = np.flatnonzero(known)
    if not len(rows):
        return 0
    chosen, columns = [batch[i] for i in rows.tolist()], events.columns[rows]
    lives = await _as_decided(filling.history, chosen, seen.lives[rows])
    ids, sides = [each.event.end_to_end_id for each in chosen], [each.event.side for each in chosen]
    decided = await filling.conclusions.conclude(ids, sides, lives, [each.decision for each in chosen])
    visited = [seen.visited[i] for i in rows.tolist()]
    fills = _rows(chosen, columns, lives, visited, decided, filling.now())
    if refused := await filling.fills.append(fills):
        raise Misconfigured(f"the table of fills refuses {len(refused)} rows")
    filling.history.stored((each.end_to_end_id, each.side) for each in fills)
    return len(fills)


async def _as_decided(history: ScoringHistory, chosen: Sequence[Unplaced], lives: Lives) -> Lives:
    """Return lives [n]; one that was counted again at its home alone settles as before, as on the other shards.

    Raises Unavailable if another process changes such a life meanwhile: the next filling finds it.
    """
    fresh = {
        each.event.end_to_end_id: i
        for i, each in enumerate(chosen)
        if each.implied is not None and not lives["flags"][i] & RECOUNTED
    }
    if not fresh:
        return lives
    rows = np.array(list(fresh.values()))
    before, implied = lives[rows], np.array([chosen[i].implied for i in rows.tolist()], dtype=np.float32)
    after = read_as_decided(before, implied)
    nothing = np.full(len(rows), -1, dtype=np.int64)
    advanced = Advance(after, nothing, nothing, Facts.blank(np.empty(0)), np.empty(0, dtype=np.int64))
    changed = await history.change(changes_of(list(fresh), before, advanced))
    if (changed.places != UNPLACED).any():
        raise Unavailable("the life of a Pix changes too often")
    place = {id_: i for i, id_ in enumerate(fresh)}
    found = lives.copy()
    for i, each in enumerate(chosen):
        if each.event.end_to_end_id in place:
            found[i] = after[place[each.event.end_to_end_id]]
    return found


async def _alive(history: ScoringHistory, batch: Sequence[Unplaced]) -> list[Unplaced]:
    """Return decisions without those of counted Pix whose life is forgotten: they would be counted again."""
    lives = await history.find([LIFE_KEY + each.event.end_to_end_id for each in batch if each.is_counted])
    left = iter(lives)
    return [each for each in batch if not each.is_counted or next(left) is not None]


def _rows(
    chosen: Sequence[Unplaced],
    columns: Columns,
    lives: Lives,
    visited: Sequence[tuple[int, ...]],
    decided: Changed,
    now: int,
) -> list[FillRow]:
    """Return the fills of decisions, without those whose life changed too often to be concluded now."""
    features = feature_matrix(columns, np.ascontiguousarray(lives["reads"]).reshape(-1, READ_WIDTH))
    own = _own_facts(columns, lives, np.array([each.claim.scored_at for each in chosen], dtype=np.int64))
    return [
        FillRow(
            end_to_end_id=each.event.end_to_end_id,
            side=each.event.side,
            initiated_at=each.event.initiated_at,
            filled_at=now,
            history_sequence=int(lives["place"][i]),
            decided_sequence=int(decided.places[i]) if decided.places[i] != UNPLACED else None,
            visited=visited[i],
            decided_visited=decided.visited[i],
            own_facts=bool(own[i]),
            recounted=bool(lives["flags"][i] & RECOUNTED),
            features=features[i],
        )
        for i, each in enumerate(chosen)
        if decided.places[i] != UNDECIDED
    ]


def _own_facts(columns: Columns, lives: Lives, scored_at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether lives [n] hold the facts of these messages: the other side may have been counted first."""
    own = asked(columns, scored_at)
    same: NDArray[np.bool_] = (lives["keys"] == own["keys"]).all(axis=1)
    for name in ("at", "amount"):
        same &= lives[name] == own[name]
    same &= (lives["flags"] | RECOUNTED) == (own["flags"] | RECOUNTED)
    return same


async def _again(
    filling: Filling,
    rows: Sequence[OutcomeRow] | Sequence[FeedbackRow],
    store: Callable[..., Errors],
    filled: Filled,
    advance: Callable[[int], None],
) -> int:
    """Store rows again with the places at which they are counted now; return their number."""
    done = 0
    for start in range(0, len(rows), BATCH):
        some = [
            msgspec.structs.replace(row, received_at=filling.now(), history_sequence=None, visited=())
            for row in rows[start : start + BATCH]
        ]
        errors = await store(some)
        filled.left += len(errors)
        done += len(some) - len(errors)
        advance(len(some))
    return done
