"""Pix of a file of events with outcomes to come, and outcomes that came before their Pix."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.rows import OutcomeRow
from shared.features.arrays import Floats
from shared.features.columns import Columns
from shared.features.facts import EXTRAS, Facts
from shared.features.life import NO_RETURNS, Lives, Returns, asked, encoded_returns, life_of, returns_of
from shared.features.outcomes import NO_ROOM, Outcome, advance
from shared.replay.changes import turns
from shared.replay.recurrence import NO_SLOT, Due

_UNITS = np.ones(len(EXTRAS))
"""The weights of a settlement that takes its share of the EXTRAS of an ask in a slot."""


class OutcomesNote(msgspec.Struct):
    """Lives, EXTRAS, places of outcomes and early outcomes by EndToEndId, for JSON."""

    lives: dict[str, bytes]
    extras: dict[str, bytes]
    places: dict[str, dict[int, int]]
    early: dict[str, list[OutcomeRow]]


class OpenLives:
    """The lives of Pix from their ask to the last outcome in the file."""

    def __init__(self) -> None:
        self._to_come: dict[str, int] = {}
        self._early: dict[str, list[OutcomeRow]] = {}
        self._lives: dict[str, tuple[Lives, Returns]] = {}
        self._places: dict[str, dict[int, int]] = {}
        """The place of each outcome, by its hash, of Pix with more outcomes to come or with one in the last batch."""
        self._new: dict[str, int] = {}
        """The index of each Pix among the events of the last batch."""
        self._slots: dict[str, int] = {}
        """The slot of each Pix whose EXTRAS are not learned yet."""
        self._extras: dict[str, Floats] = {}
        """The weights of settlements that follow from the reads of each ask."""

    def expect(self, end_to_end_id: str) -> None:
        """Note that an outcome of a Pix is to come."""
        self._to_come[end_to_end_id] = self._to_come.get(end_to_end_id, 0) + 1

    def forgo(self, end_to_end_id: str) -> None:
        """Note that an outcome of a Pix that was to come will not count."""
        self._to_come[end_to_end_id] -= 1
        if not self._to_come[end_to_end_id]:
            del self._to_come[end_to_end_id]
            self._close(end_to_end_id)

    @property
    def expected(self) -> bool:
        """Return whether any outcome is to come."""
        return bool(self._to_come)

    def begin(self) -> None:
        """Begin a batch."""
        self._new = {}
        self._places = self._open_places()

    def ask(self, end_to_end_id: str, index: int) -> list[OutcomeRow]:
        """Note the index of a Pix among the events of this batch; return the outcomes that waited for it."""
        if end_to_end_id in self._to_come and end_to_end_id not in self._lives:
            self._new.setdefault(end_to_end_id, index)
        return self._early.pop(end_to_end_id, [])

    def must_wait(self, row: OutcomeRow) -> bool:
        """Return whether the Pix of an outcome is not known yet; if so, remember the outcome."""
        known = row.end_to_end_id in self._lives or row.end_to_end_id in self._new
        if not known:
            self._early.setdefault(row.end_to_end_id, []).append(row)
        return not known

    def advance(
        self, columns: Columns, told: list[OutcomeRow], before: list[int], first: int
    ) -> tuple[Due, NDArray[np.int64], set[int]]:
        """Count outcomes in their order, given the events of the batch and the index of the event after each.

        `first` is the slot of the first event. Return the facts [m] of the outcomes, without places, the index of the
        outcome of each, and the indexes of returns for which their Pix has no room.
        """
        self._remember(columns, first)
        nothing = np.empty(0, dtype=np.int64)
        facts, of, slots = [Facts.blank(np.empty(0))], [nothing], [nothing]
        refused: set[int] = set()
        for turn in turns([row.end_to_end_id for row in told]):
            ids = [told[i].end_to_end_id for i in turn]
            asked_at = np.array([self._slots.get(id_, NO_SLOT) for id_ in ids])
            lives = np.concatenate([self._lives[id_][0] for id_ in ids])
            extra = np.stack([self._extras.get(id_, _UNITS) for id_ in ids])
            returns = [self._lives[id_][1] for id_ in ids]
            after = advance(lives, [Outcome.of(told[i]) for i in turn], extra, returns)
            refused.update(np.array(turn)[after.known == NO_ROOM].tolist())
            for id_, life, those in zip(ids, after.lives, after.returns, strict=True):
                self._keep(id_, life.reshape(1), those)
            facts.append(after.facts)
            of.append(np.array(turn)[after.of])
            slots.append(asked_at[after.of])
        every = np.concatenate(of)
        order = np.argsort(every, kind="stable")
        own = every[order]
        at = np.array(before, dtype=np.int64)[own]
        return Due(Facts.joined(facts, order), at, nothing, nothing, np.concatenate(slots)[order]), own, refused

    def placed(self, row: OutcomeRow, place: int | None) -> OutcomeRow:
        """Return an outcome with its place, None if it changed nothing; a repeated one keeps that of the first."""
        places, identity = self._places.setdefault(row.end_to_end_id, {}), Outcome.of(row).hash
        if place is not None:
            places[identity] = place
        return msgspec.structs.replace(row, history_sequence=places.get(identity))

    def learn(self, extras: Floats) -> None:
        """Take the EXTRAS of the events in all slots, from which later settlements follow."""
        self._extras |= {id_: extras[slot].copy() for id_, slot in self._slots.items()}
        self._slots = {}

    def note(self) -> OutcomesNote:
        """Return the state, for JSON."""
        lives = {id_: life.tobytes() + encoded_returns(returns) for id_, (life, returns) in self._lives.items()}
        weights = {id_: values.tobytes() for id_, values in self._extras.items()}
        return OutcomesNote(lives, weights, self._open_places(), self._early)

    def resume(self, note: OutcomesNote) -> None:
        """Continue from a note; the outcomes that wait in it are still to come, those in the file are not in it."""
        self._lives = {id_: (life_of(life), returns_of(life)) for id_, life in note.lives.items()}
        self._extras = {id_: np.frombuffer(values) for id_, values in note.extras.items()}
        self._places, self._early = note.places, note.early
        for id_, rows in note.early.items():
            for _ in rows:
                self.expect(id_)

    def _open_places(self) -> dict[str, dict[int, int]]:
        return {id_: places for id_, places in self._places.items() if id_ in self._to_come}

    def _remember(self, columns: Columns, first: int) -> None:
        """Remember the lives of the batch's events that have outcomes to come."""
        if self._new:
            rows = np.array(list(self._new.values()))
            lives = asked(columns[rows], np.rint(columns.at[rows] * 1e6).astype(np.int64))
            lives["place"] = 0  # counted; its place does not matter here
            self._lives.update((id_, (lives[i : i + 1].copy(), NO_RETURNS)) for i, id_ in enumerate(self._new))
            self._slots |= {id_: first + index for id_, index in self._new.items()}

    def _keep(self, id_: str, life: Lives, returns: Returns) -> None:
        """Keep a life while outcomes are to come."""
        self._to_come[id_] -= 1
        if self._to_come[id_]:
            self._lives[id_] = life.copy(), returns
        else:
            del self._to_come[id_]
            self._close(id_)

    def _close(self, id_: str) -> None:
        """Forget a Pix without outcomes to come."""
        for known in (self._lives, self._slots, self._extras):
            known.pop(id_, None)
