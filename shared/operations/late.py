"""Late outcomes: those that came when history had forgotten their Pix, counted together.

The outcome function stores them and goes on. Here the lives of their Pix are made again from the rows, for many at
once, and the outcomes are counted as the function counts any other. Their rows are appended to `pix.outcomes` with
their places, by which replays go.

Each step may be repeated, also by two jobs at once. A life that is made again is kept until the rows of its outcomes
are stored, for as long as a message may come back: a job that was killed between the two finds it, with the places
that it has given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np

from shared.contract.rows import LateRow, OutcomeRow
from shared.errors import Misconfigured, PixError, Unavailable
from shared.features.facts import Facts
from shared.features.life import STORED, Lives, claims_of, life_of
from shared.features.outcomes import Advance
from shared.features.rebuilding import Asked, claims_of_rows, rebuilt
from shared.ports.decisions import AskedLookup
from shared.ports.history import LIFE_KEY, ChangingHistory, History
from shared.ports.late import LateOutcomes, LatePeriod
from shared.ports.tables import Table
from shared.scoring.conclusions import changes_of

BATCH = 256
"""Outcomes in one call of history, at most: as many as the outcome function sends."""
PAGE = 10_000
"""Outcomes whose Pix are looked up together, at most: their ids take 0.4 MB of the 10 MB of a request."""

Sides = Mapping[str, Sequence[str]]
"""The sides of Pix whose rows are stored, by EndToEndId."""
Item = TypeVar("Item")


class FormerLives:
    """Make the lives of Pix that history has forgotten again, from their rows."""

    def __init__(self, history: ChangingHistory, scored: AskedLookup) -> None:
        """`history` keeps a change for as long as a message may come back."""
        self._history = history
        self._scored = scored

    async def restore(self, end_to_end_ids: Collection[str]) -> Sides:
        """Return the sides of each Pix that has a life now. Raises Unavailable.

        A Pix without a row, or whose rows have no place, has none.
        """
        values: dict[str, bytes | None] = {}
        for ids in _parts(sorted(set(end_to_end_ids)), BATCH):
            values |= zip(ids, await self._history.find([LIFE_KEY + id_ for id_ in ids]), strict=True)
        alive = {id_: value for id_, value in values.items() if value and life_of(value)["place"][0] != STORED}
        gone = values.keys() - alive.keys()
        found = await self._scored.asked(gone) if gone else {}
        known = {id_: each for id_, each in found.items() if each.place is not None}
        for ids in _parts(list(known), BATCH):
            await self._write([(id_, known[id_], values[id_]) for id_ in ids])
        sides = {id_: [side for side, _, _ in each.decisions] for id_, each in known.items()}
        return sides | {id_: [each.side for each in claims_of(alive[id_]).values() if each.stored] for id_ in alive}

    async def _write(self, forgotten: Sequence[tuple[str, Asked, bytes | None]]) -> None:
        """Write lives; one that another job has written since stays as it is."""
        made = [rebuilt(asked) for _, asked, _ in forgotten]
        before: Lives = np.concatenate([life for life, _ in made])
        before["version"] = [int(life_of(value)["version"][0]) if value else 0 for _, _, value in forgotten]
        after, none = before.copy(), np.full(len(before), -1, dtype=np.int64)
        after["version"] += 1
        nothing, of = Facts.blank(np.empty(0)), np.empty(0, dtype=np.int64)
        unchanged = Advance(after, none, none, nothing, of, [returns for _, returns in made])
        claims = [b"" if value else claims_of_rows(asked) for _, asked, value in forgotten]
        await self._history.change(changes_of([id_ for id_, _, _ in forgotten], before, unchanged, claims=claims))


class Telling:
    """Count outcomes of Pix that history may have forgotten, and append their rows."""

    def __init__(
        self,
        former: FormerLives,
        store: Callable[[Sequence[OutcomeRow]], Awaitable[Mapping[int, PixError]]],
        history: History,
    ) -> None:
        """`store` is that of the outcome function; `history` shortens the keeping of a life whose rows are stored."""
        self._former = former
        self._store = store
        self._history = history

    async def tell(self, rows: Sequence[OutcomeRow]) -> Mapping[int, PixError]:
        """Return the error of each outcome without a row, by index. Raises Unavailable."""
        return await self.count(rows, await self.restore(rows))

    async def restore(self, rows: Sequence[OutcomeRow]) -> Sides:
        """Make the lives of the Pix of outcomes again; return the sides of each that has one. Raises Unavailable."""
        return await self._former.restore({row.end_to_end_id for row in rows})

    async def count(self, rows: Sequence[OutcomeRow], sides: Sides) -> Mapping[int, PixError]:
        """Return the error of each outcome without a row, given the sides of Pix with a life. Raises Unavailable."""
        known = [i for i, row in enumerate(rows) if row.end_to_end_id in sides]
        errors: dict[int, PixError] = {
            i: Unavailable("the Pix of an outcome has no place in history") for i in set(range(len(rows))) - {*known}
        }
        found = await self._store([rows[i] for i in known]) if known else {}
        errors |= {known[place]: error for place, error in found.items()}
        failed = {rows[i].end_to_end_id for i in errors}
        done = {row.end_to_end_id for row in rows} - failed
        self._history.stored((id_, side) for id_ in sorted(done) for side in sides[id_])
        return errors


@dataclass(frozen=True, slots=True)
class LateCounting:
    """The services of a counting of late outcomes."""

    waiting: LateOutcomes
    telling: Telling
    late_outcomes: Table
    history: History
    now: Callable[[], int]
    """The time in microseconds."""


class LateCounted(msgspec.Struct):
    """The numbers of late outcomes that were counted, and of those `left`, as their Pix has no place in history."""

    counted: int = 0
    left: int = 0


async def count_late(
    counting: LateCounting, period: LatePeriod, limit: int, advance: Callable[[int], None]
) -> LateCounted:
    """Count at most `limit` late outcomes of a period; `advance` receives the number of rows of each part.

    Raises Unavailable, also while history is empty, and Misconfigured; outcomes counted before stay.
    """
    done = LateCounted()
    rows = await asyncio.to_thread(counting.waiting.waiting, period, limit)
    for page in _parts(rows, PAGE):
        sides = await counting.telling.restore(page)
        for batch in _parts(page, BATCH):
            left = await _count(counting, batch, sides)
            done.counted += len(batch) - left
            done.left += left
            advance(len(batch))
    await counting.history.settle()
    return done


async def _count(counting: LateCounting, batch: Sequence[OutcomeRow], sides: Sides) -> int:
    """Count outcomes and note the attempt; return the number of those that have to wait."""
    now = counting.now()
    errors = await counting.telling.count([msgspec.structs.replace(row, received_at=now) for row in batch], sides)
    tried = [LateRow.of(row, now, None if i in errors else True) for i, row in enumerate(batch)]
    if refused := await counting.late_outcomes.append(tried):
        raise Misconfigured(f"the table of late outcomes refuses {len(refused)} rows")
    return len(errors)


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
