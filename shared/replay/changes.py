"""Decisions and outcomes in the order in which history counted them, placed between the transactions of a replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.features.facts import Facts
from shared.features.life import NO_RETURNS, Lives, Returns, asked, encoded_returns, life_of, returns_of
from shared.features.outcomes import Advance, Outcome, advance, decided
from shared.features.rebuilding import IMPLIED_COLUMNS, put_implied
from shared.features.reports import UNPLACED
from shared.features.shards import ONLY, Shard
from shared.replay.arrow_columns import EVENT_COLUMNS, columns_of, floats, whole
from shared.replay.recurrence import NO_SLOT, Due

DECIDED = "DECIDED"
"""The status of a change that a decision made by itself."""
ASK_COLUMNS = (*EVENT_COLUMNS, "scored_at", "history_sequence", *IMPLIED_COLUMNS)
"""The columns of `score_events` by which a settlement is counted."""
CHANGE_COLUMNS = ("place", "counted", "status", "decided_side", "approved", "at", "return_id", "returned", "more")
"""The columns of a change: `counted` is false for one that changed nothing on the shard when it came, but may weigh
on the change at `place`; `more` is true if another change of the Pix follows."""

_LAST = np.iinfo(np.int64).max


class ChangeQueue:
    """Give out the facts of changes as a replay reaches their place.

    Memory is bounded by the number of Pix of which several changes are known, between the first and the last one.
    """

    def __init__(self, batches: Iterable[pa.Table] = (), shard: Shard = ONLY) -> None:
        """`batches` have ASK_COLUMNS and CHANGE_COLUMNS, in the order of `place`, which is on the shard."""
        self._batches = iter(batches)
        self._shard = shard
        self._open: pa.Table | None = None
        self._lives: dict[str, tuple[Lives, Returns]] = {}
        self._reached = 0
        self.given = 0
        """Changes given out."""

    def before(self, places: NDArray[np.int64]) -> Due:
        """Return the changes due before the last of n transactions, given their places (or UNPLACED)."""
        reached = np.maximum.accumulate(np.maximum(places, self._reached))
        self._reached = int(reached[-1])
        return self._due(self._reached, reached)

    def rest(self) -> Due:
        """Return the changes after the last transaction."""
        return self._due(_LAST, np.empty(0, dtype=np.int64))

    def skip(self, sequence: int) -> None:
        """Treat the changes up to place `sequence` as counted; the lives of their Pix are known afterwards."""
        self.before(np.array([sequence + 1]))

    def note(self) -> dict[str, Any]:
        """Return the position, for JSON."""
        lives = {id_: life.tobytes() + encoded_returns(returns) for id_, (life, returns) in self._lives.items()}
        return {"given": self.given, "reached": self._reached, "lives": lives}

    def resume(self, note: dict[str, Any]) -> None:
        """Continue from a note, given the same changes."""
        left = note["given"]
        while left and (batch := self._next()) is not None:
            taken = min(left, batch.num_rows)
            left, self._open = left - taken, batch.slice(taken)
        lives = msgspec.convert(note["lives"], dict[str, bytes], builtin_types=())
        self.given, self._reached = note["given"], note["reached"]
        self._lives = {id_: (life_of(life), returns_of(life)) for id_, life in lives.items()}

    def _next(self) -> pa.Table | None:
        if self._open is None or not self._open.num_rows:
            self._open = next(self._batches, None)
        return self._open

    def _due(self, until: int, reached: NDArray[np.int64]) -> Due:
        facts, at, places = [Facts.blank(np.empty(0))], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        while (batch := self._next()) is not None:
            stop = int(np.searchsorted(whole(batch["place"], 0), until, side="left"))
            if not stop:
                break
            rows, self._open = batch.slice(0, stop), batch.slice(stop)
            self.given += stop
            found, of = self._facts(rows)
            own = whole(rows["place"], 0)
            facts.append(found)
            at.append(own[of])
            places.append(np.unique(own[floats(rows["counted"]) == 1]))
        joined, every = self._shard.masked(Facts.joined(facts)), np.concatenate(at)
        before = np.searchsorted(reached, every, side="right")
        return Due(joined, before, every, np.concatenate(places), np.full(len(joined), NO_SLOT))

    def _facts(self, rows: pa.Table) -> tuple[Facts, NDArray[np.int64]]:
        """Return the facts of changes, and the index of the change of each, ascending."""
        ids, more = rows["end_to_end_id"].to_pylist(), rows["more"].to_pylist()
        first = lives_of(rows)
        changes = rows.select(("status", "decided_side", "approved", "at", "return_id", "returned", "counted"))
        words = [_Change(*each) for each in zip(*_values(changes), strict=True)]
        parts, of = [Facts.blank(np.empty(0))], [np.empty(0, dtype=np.int64)]
        for turn in turns(ids):
            known = [self._lives.pop(ids[i], (first[i : i + 1], NO_RETURNS)) for i in turn]
            before, returns = np.concatenate([life for life, _ in known]), [each for _, each in known]
            for rows_of, after in _advanced(before, returns, [words[i] for i in turn]):
                indexes = np.array(turn)[rows_of]
                for i, life, those in zip(indexes.tolist(), after.lives, after.returns, strict=True):
                    if more[i]:
                        self._lives[ids[i]] = life.reshape(1), those
                parts.append(after.facts)
                of.append(indexes[after.of])
        every = np.concatenate(of)
        order = np.argsort(every, kind="stable")
        return Facts.joined(parts, order), every[order]


class _Change(NamedTuple):
    status: str
    side: str | None
    approved: bool | None
    at: int
    return_id: str | None
    returned: int
    counted: bool

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.status, self.at, self.return_id, self.returned)


def lives_of(rows: pa.Table) -> Lives:
    """Return the lives [n] of Pix as they were asked for, from rows with ASK_COLUMNS."""
    columns = columns_of(rows)
    lives = asked(columns, whole(rows["scored_at"], 0))
    lives["place"] = whole(rows["history_sequence"], UNPLACED)
    put_implied(lives, np.stack([floats(rows[name]) for name in IMPLIED_COLUMNS], axis=1).astype(np.float32))
    return lives


def _advanced(
    lives: Lives, returns: list[Returns], changes: list[_Change]
) -> Iterator[tuple[NDArray[np.int64], Advance]]:
    """Yield lives after one change each, in two parts: those by decisions, and those by outcomes."""
    by_decision = np.array([each.status == DECIDED for each in changes], dtype=bool)
    rows = np.flatnonzero(by_decision)
    if len(rows):
        sides = [changes[i].side or "PAYER" for i in rows.tolist()]
        after = decided(lives[rows], sides, np.array([bool(changes[i].approved) for i in rows.tolist()]))
        yield rows, after._replace(returns=[returns[i] for i in rows.tolist()])
    rows = np.flatnonzero(~by_decision)
    if len(rows):
        chosen = rows.tolist()
        yield rows, advance(lives[rows], [changes[i].outcome for i in chosen], returns=[returns[i] for i in chosen])


def turns(ids: list[str]) -> Iterator[list[int]]:
    """Yield lists of indexes, each id once in a list: of its first change, then of its second one."""
    seen: dict[str, int] = {}
    turns: list[list[int]] = []
    for i, id_ in enumerate(ids):
        turn = seen[id_] = seen.get(id_, -1) + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(i)
    yield from turns


def _values(changes: pa.Table) -> Iterator[list[Any]]:
    for name in changes.column_names:
        values = changes[name]
        if name == "at":
            yield whole(values, 0).tolist()
        elif name == "returned":
            yield [0 if np.isnan(each) else round(each * 100) for each in floats(values).tolist()]
        else:
            yield values.to_pylist()
