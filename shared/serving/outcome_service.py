"""The outcome function: one outcome of a Pix in, counted in history, one row of `pix.outcomes`, one acknowledgement.

The order keeps every outcome: history counts it first, then the row is stored, then the message is acknowledged.
After a crash in between, the message is delivered again: the life of the Pix remembers the outcome and its place.
If the row can't be stored, the life is kept for as long as its message may come back.

A late outcome, one whose Pix history has forgotten, is stored in `pix.late_outcomes` too, and counted later together
with others (`shared.operations.late`): to ask BigQuery for each would cost more than everything else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.end_to_end_id import minute_of
from shared.contract.envelope import PubsubMessage
from shared.contract.event import micros
from shared.contract.reading import Clock, read_outcome
from shared.contract.rows import LateRow, OutcomeRow
from shared.contract.topics import OUTCOMES
from shared.errors import Malformed, PixError, Unavailable
from shared.features.life import STORED, UNCOUNTED, Lives, life_of, returns_of
from shared.features.outcomes import NO_ROOM, Advance, Outcome, advance
from shared.ports.history import CONFLICT, LIFE_KEY, LOST, UNPLACED, Changed, ChangingHistory
from shared.ports.tables import Table
from shared.scoring.conclusions import changes_of
from shared.serving.endings import Ending, Endings
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import Intake
from shared.serving.quarantine import check_not_too_old, refused_by_table
from shared.serving.readiness import AT_ONCE, Readiness
from shared.settings import BEHIND_DAYS
from shared.telemetry.batches import Telemetry
from shared.telemetry.metrics import STAGE, UNKNOWN_FIELDS, Metrics

ROUNDS = 4
"""Attempts at a change: each conflict means that a decision or another outcome changed the life in between."""
EARLY_SECONDS = 300.0
"""An outcome that came about later than that after the minute in its id does not wait for its Pix: messages of a file
are of the past, so no clock tells their age."""


class OutcomePlaces(NamedTuple):
    """Places of outcomes by index (None: it changed nothing), also on other shards.

    The others are `late`, as history has forgotten their Pix, or have an error.
    """

    places: dict[int, int | None]
    visited: dict[int, tuple[int, ...]]
    late: set[int]
    errors: dict[int, PixError]


class CountedOutcomes:
    """Outcomes counted in a history that the score function shares."""

    def __init__(self, history: ChangingHistory, remembered: float, now: Callable[[], int]) -> None:
        """`history` keeps each life for `remembered` seconds at least; `now` is the time in microseconds."""
        self._history = history
        self._remembered = remembered * 1e6
        self._now = now

    async def count(self, rows: Sequence[OutcomeRow]) -> OutcomePlaces:
        """Count outcomes, several of one Pix in order. Raises Unavailable.

        A return of a Pix that has MOST_RETURNS others is Malformed.

        An outcome that comes before its Pix is stored and counted, or while history has lost it, waits: its error is
        Unavailable. If its Pix has no life, the minute in its id tells: soon after it, the outcome has come too
        early, else it is late.
        """
        counted = OutcomePlaces({}, {}, set(), {})
        for turn in _turns(rows):
            left = turn
            for _ in range(ROUNDS):
                left = await self._count({i: rows[i] for i in left}, counted)
                if not left:
                    break
            counted.errors.update((i, Unavailable("the life of a Pix changes too often")) for i in left)
        return counted

    async def _count(self, rows: dict[int, OutcomeRow], counted: OutcomePlaces) -> list[int]:
        """Count one outcome each of some Pix; return the indexes of those whose life changed meanwhile."""
        values = await self._values(rows)
        known = {i: life_of(value) for i, value in values.items()}
        lives = {i: life for i, life in known.items() if life["place"][0] not in (UNCOUNTED, STORED)}
        for i in rows.keys() - lives.keys():
            is_late = known[i]["place"][0] == STORED if i in known else self._forgets(rows[i])
            if is_late:
                counted.late.add(i)
            else:
                counted.errors[i] = Unavailable("an outcome came before its Pix")
        if not lives:
            return []
        indexes = list(lives)
        before: Lives = np.concatenate([lives[i] for i in indexes])
        returns = [returns_of(values[i]) for i in indexes]
        after = advance(before, [Outcome.of(rows[i]) for i in indexes], returns=returns)
        places, visited = await self._change([rows[i].end_to_end_id for i in indexes], before, after)
        done = {i: place for i, place in zip(indexes, places.tolist(), strict=True) if place != CONFLICT}
        counted.visited.update(zip(indexes, visited, strict=True))
        errors = {i: _error(place) for i, place in done.items() if place in (LOST, NO_ROOM)}
        counted.errors.update(errors)
        counted.places.update(
            (i, None if place == UNPLACED else place) for i, place in done.items() if i not in errors
        )
        return [i for i in indexes if i not in done]

    async def keep(self, rows: Sequence[OutcomeRow]) -> None:
        """Keep the lives of Pix with a counted outcome that has no row: a redelivery does not count it again.

        Raises Unavailable.
        """
        if rows:
            await self._history.prolong([row.end_to_end_id for row in rows])

    async def _change(self, ids: list[str], before: Lives, after: Advance) -> Changed:
        places = after.known.copy()
        visited: list[tuple[int, ...]] = [()] * len(ids)
        new, known = np.flatnonzero(after.place_at >= 0), np.flatnonzero(after.known > 0)
        if len(new):
            changed = await self._history.change(changes_of(ids, before, after, new))
            places[new] = changed.places
            _put(visited, new, changed.visited)
        if len(known):
            _put(
                visited, known, await self._history.visited([(LIFE_KEY + ids[i], places[i]) for i in known.tolist()])
            )
        return Changed(places, visited)

    async def _values(self, rows: dict[int, OutcomeRow]) -> dict[int, bytes]:
        values = await self._history.find([LIFE_KEY + row.end_to_end_id for row in rows.values()])
        return {i: value for i, value in zip(rows, values, strict=True) if value}

    def _forgets(self, row: OutcomeRow) -> bool:
        """Return whether history may have forgotten a Pix of this age; an id without a minute has none."""
        minute = minute_of(row.end_to_end_id)
        if minute is None:
            return True
        asked = micros(minute)
        return self._now() - asked > self._remembered or row.at - asked > EARLY_SECONDS * 1_000_000


class OutcomePipeline:
    """Every step from an outcome to its row, in order.

    ::

        decode, one message   parse
        store, a batch        history -> append -> note late ones -> announce ends of holds

    `history` is None where the score function does not share its history. `late` are those that will be counted
    later; without it they have to wait for the life of their Pix.
    """

    def __init__(
        self,
        history: CountedOutcomes | None,
        outcomes: Table,
        now: Callable[[], int],
        ahead_seconds: float,
        metrics: Metrics,
        behind_days: float = BEHIND_DAYS,
        endings: Endings | None = None,
        late: Table | None = None,
    ) -> None:
        self._endings = endings
        self._history = history
        self._outcomes = outcomes
        self._late = late
        self._now = now
        self._ahead_seconds = ahead_seconds
        self._behind_days = behind_days
        self._metrics = metrics

    def decode(self, message: PubsubMessage) -> OutcomeRow:
        """Parse an outcome. Raises Malformed, and Unavailable for one that is dated ahead of the clock."""
        read = read_outcome(message.data, Clock(self._now(), self._ahead_seconds))
        row = read.record
        if read.unknown_fields:
            self._metrics.add(UNKNOWN_FIELDS, read.unknown_fields)
        check_not_too_old("at", row.at, row.received_at, self._behind_days)
        return row

    async def store(self, rows: Sequence[OutcomeRow]) -> dict[int, PixError]:
        """Count outcomes in history and append rows; return the error of each outcome without a row, by index.

        Raises Unavailable if history does not answer or the rows are not known to be stored.
        """
        with self._metrics.timed(STAGE, "state"):
            history, every = self._history, dict.fromkeys(range(len(rows)))
            counted = await history.count(rows) if history else OutcomePlaces(every, {}, set(), {})
        errors = dict(counted.errors)
        if not self._late:
            errors |= {i: Unavailable("history has forgotten the Pix of an outcome") for i in counted.late}
        with self._metrics.timed(STAGE, "append"):
            errors |= await self._append_counted(rows, counted, errors)
        if self._endings:
            known = {i: row for i, row in enumerate(rows) if i not in errors and i not in counted.late}
            errors |= await self._endings.tell({i: Ending.of_outcome(row) for i, row in known.items()})
        return errors

    async def _append_counted(
        self, rows: Sequence[OutcomeRow], counted: OutcomePlaces, errors: Mapping[int, PixError]
    ) -> Mapping[int, PixError]:
        """Append as `_append`, and keep the lives of Pix whose outcomes are counted and have no row."""
        if not self._history:
            return await self._append(rows, counted, errors)
        try:
            refused = await self._append(rows, counted, errors)
        except Unavailable:
            await self._history.keep([rows[i] for i in counted.places])
            raise
        await self._history.keep([rows[i] for i in sorted(counted.places.keys() & refused.keys())])
        return refused

    async def _append(
        self, rows: Sequence[OutcomeRow], counted: OutcomePlaces, errors: Mapping[int, PixError]
    ) -> dict[int, PixError]:
        """Append the outcomes without an error, and note the late ones among them; return the refused ones."""
        indexes = [i for i in range(len(rows)) if i not in errors]
        stored = [_placed(i, rows[i], counted) for i in indexes]
        refused = refused_by_table(indexes[i] for i in await self._outcomes.append(stored))
        late = [i for i in sorted(counted.late) if i not in refused and i not in errors]
        if late and self._late:
            unnoted = await self._late.append([LateRow.of(rows[i]) for i in late])
            refused |= refused_by_table(late[i] for i in unnoted)
        return refused


def outcome_intake(
    pipeline: OutcomePipeline,
    quarantine: Table,
    payload_hash: Callable[[bytes], str],
    now: Callable[[], int],
    limits: BatchLimits,
    telemetry: Telemetry,
    readiness: Readiness = AT_ONCE,
) -> Intake[OutcomeRow]:
    """Return the intake of `pix-outcomes`."""
    return Intake(
        OUTCOMES, pipeline.decode, pipeline.store, quarantine, payload_hash, now, limits, telemetry, readiness
    )


def _placed(index: int, row: OutcomeRow, counted: OutcomePlaces) -> OutcomeRow:
    """Return an outcome with its places, or with the mark of one that is late."""
    return msgspec.structs.replace(
        row,
        history_sequence=counted.places.get(index),
        visited=counted.visited.get(index, ()),
        place_pending=index in counted.late or None,
    )


def _error(place: int) -> PixError:
    """Return the error of an outcome that history did not count."""
    if place == NO_ROOM:
        return Malformed("too_many_returns", "return_id")
    return Unavailable("history has lost the Pix of an outcome")


def _put(visited: list[tuple[int, ...]], rows: NDArray[np.int64], found: Sequence[tuple[int, ...]]) -> None:
    for row, places in zip(rows.tolist(), found, strict=True):
        visited[row] = places


def _turns(rows: Sequence[OutcomeRow]) -> Iterator[list[int]]:
    """Yield indexes of rows, each Pix once: its first outcome, then its second one."""
    turns: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        turns[row.end_to_end_id].append(i)
    for turn in range(max(map(len, turns.values()), default=0)):
        yield [indexes[turn] for indexes in turns.values() if turn < len(indexes)]
