"""The outcome function: one outcome of a Pix in, counted in history, one row of `pix.outcomes`, one acknowledgement.

The order keeps every outcome: history counts it first, then the row is stored, then the message is acknowledged.
After a crash in between, the message is delivered again: the life of the Pix remembers the outcome and its place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.envelope import PubsubMessage
from shared.contract.reading import Clock, read_outcome
from shared.contract.rows import OutcomeRow
from shared.contract.topics import OUTCOMES
from shared.errors import PixError, Unavailable
from shared.features.life import STORED, UNCOUNTED, Lives, life_of
from shared.features.outcomes import Advance, Outcome, advance
from shared.features.rebuilding import claims_of_rows, rebuilt
from shared.ports import CONFLICT, LIFE_KEY, LOST, UNPLACED, AskedLookup, Changed, ChangingHistory, Table
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


class OutcomePlaces(NamedTuple):
    """Places of outcomes by index (None: it changed nothing), also on other shards, and the errors of the others."""

    places: dict[int, int | None]
    visited: dict[int, tuple[int, ...]]
    errors: dict[int, PixError]


class CountedOutcomes:
    """Outcomes counted in a history that the score function shares."""

    def __init__(self, history: ChangingHistory, scored: AskedLookup) -> None:
        self._history = history
        self._scored = scored

    async def count(self, rows: Sequence[OutcomeRow]) -> OutcomePlaces:
        """Count outcomes, several of one Pix in order. Raises Unavailable.

        An outcome that comes before its Pix is stored and counted, or while history has lost it, waits: its error is
        Unavailable.
        """
        counted = OutcomePlaces({}, {}, {})
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
        lives, claims = await self._lives(rows)
        lives = {i: life for i, life in lives.items() if life["place"][0] != UNCOUNTED}
        for i in rows.keys() - lives.keys():
            counted.errors[i] = Unavailable("an outcome came before its Pix")
        if not lives:
            return []
        indexes = list(lives)
        before: Lives = np.concatenate([lives[i] for i in indexes])
        after = advance(before, [Outcome.of(rows[i]) for i in indexes])
        tails = [claims.get(i, b"") for i in indexes]
        places, visited = await self._change([rows[i].end_to_end_id for i in indexes], before, after, tails)
        done = {i: place for i, place in zip(indexes, places.tolist(), strict=True) if place != CONFLICT}
        counted.visited.update(zip(indexes, visited, strict=True))
        lost = [i for i, place in done.items() if place == LOST]
        counted.errors.update((i, Unavailable("history has lost the Pix of an outcome")) for i in lost)
        counted.places.update((i, None if place == UNPLACED else place) for i, place in done.items() if place != LOST)
        return [i for i in indexes if i not in done]

    async def _change(self, ids: list[str], before: Lives, after: Advance, tails: list[bytes]) -> Changed:
        places = after.known.copy()
        visited: list[tuple[int, ...]] = [()] * len(ids)
        new, known = np.flatnonzero(after.place_at >= 0), np.flatnonzero(after.known > 0)
        if len(new):
            changed = await self._history.change(changes_of(ids, before, after, new, tails))
            places[new] = changed.places
            _put(visited, new, changed.visited)
        if len(known):
            _put(
                visited, known, await self._history.visited([(LIFE_KEY + ids[i], places[i]) for i in known.tolist()])
            )
        return Changed(places, visited)

    async def _lives(self, rows: dict[int, OutcomeRow]) -> tuple[dict[int, Lives], dict[int, bytes]]:
        """Return the life of each Pix, rebuilt from its rows where the store has forgotten it, and the new claims."""
        values = await self._history.find([LIFE_KEY + row.end_to_end_id for row in rows.values()])
        lives = {i: life_of(value) for i, value in zip(rows, values, strict=True) if value}
        claims: dict[int, bytes] = {}
        forgotten = {i: rows[i].end_to_end_id for i in rows if i not in lives or lives[i]["place"][0] == STORED}
        if forgotten:
            known = await self._scored.asked(set(forgotten.values()))
            for i, id_ in forgotten.items():
                version = int(lives.pop(i)["version"][0]) if i in lives else 0
                if id_ in known:
                    lives[i] = rebuilt(known[id_])
                    lives[i]["version"] = version
                    claims |= {} if version else {i: claims_of_rows(known[id_])}
        return lives, claims


class OutcomePipeline:
    """Every step from an outcome to its row, in order.

    ::

        decode, one message   parse
        store, a batch        history -> append -> announce ends of holds

    `history` is None where the score function does not share its history.
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
    ) -> None:
        self._endings = endings
        self._history = history
        self._outcomes = outcomes
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
            counted = await history.count(rows) if history else OutcomePlaces(every, {}, {})
        indexes = sorted(counted.places)
        stored = [
            msgspec.structs.replace(rows[i], history_sequence=counted.places[i], visited=counted.visited.get(i, ()))
            for i in indexes
        ]
        with self._metrics.timed(STAGE, "append"):
            refused = await self._outcomes.append(stored)
        errors = counted.errors | refused_by_table(indexes[i] for i in refused)
        if self._endings:
            ends = {i: Ending.of_outcome(row) for i, row in enumerate(rows) if i not in errors}
            errors |= await self._endings.tell(ends)
        return errors


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
