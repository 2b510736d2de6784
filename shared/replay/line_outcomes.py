"""Pix of a file of events with outcomes to come, and outcomes that came before their Pix."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.rows import OutcomeRow
from shared.features.columns import Columns
from shared.features.facts import Facts, extras
from shared.features.life import LIFE, Lives, asked
from shared.features.outcomes import Outcome, advance, implied_by
from shared.replay.changes import turns
from shared.replay.recurrence import NO_SLOT, Due

_CENTAVO = 0.01


class OutcomesNote(msgspec.Struct):
    """Lives, places of outcomes and early outcomes by EndToEndId, for JSON."""

    lives: dict[str, bytes]
    places: dict[str, dict[int, int]]
    early: dict[str, list[OutcomeRow]]


class OpenLives:
    """The lives of Pix from their ask to the last outcome in the file."""

    def __init__(self) -> None:
        self._to_come: dict[str, int] = {}
        self._early: dict[str, list[OutcomeRow]] = {}
        self._lives: dict[str, Lives] = {}
        self._places: dict[str, dict[int, int]] = {}
        """The place of each outcome, by its hash, of Pix with more outcomes to come or with one in the last batch."""
        self._asked: dict[str, int] = {}
        """The index of each Pix among the events of the last batch."""

    def expect(self, end_to_end_id: str) -> None:
        """Note that an outcome of a Pix is to come."""
        self._to_come[end_to_end_id] = self._to_come.get(end_to_end_id, 0) + 1

    def forgo(self, end_to_end_id: str) -> None:
        """Note that an outcome of a Pix that was to come will not count."""
        self._to_come[end_to_end_id] -= 1
        if not self._to_come[end_to_end_id]:
            del self._to_come[end_to_end_id]
            self._lives.pop(end_to_end_id, None)

    @property
    def expected(self) -> bool:
        """Return whether any outcome is to come."""
        return bool(self._to_come)

    def begin(self) -> None:
        """Begin a batch."""
        self._asked = {}
        self._places = self._open_places()

    def ask(self, end_to_end_id: str, index: int) -> list[OutcomeRow]:
        """Note the index of a Pix among the events of this batch; return the outcomes that waited for it."""
        if end_to_end_id in self._to_come and end_to_end_id not in self._lives:
            self._asked.setdefault(end_to_end_id, index)
        return self._early.pop(end_to_end_id, [])

    def must_wait(self, row: OutcomeRow) -> bool:
        """Return whether the Pix of an outcome is not known yet; if so, remember the outcome."""
        known = row.end_to_end_id in self._lives or row.end_to_end_id in self._asked
        if not known:
            self._early.setdefault(row.end_to_end_id, []).append(row)
        return not known

    def advance(self, columns: Columns, told: list[OutcomeRow], before: list[int]) -> tuple[Due, NDArray[np.int64]]:
        """Count outcomes in their order, given the events of the batch and the index of the event after each.

        Return their facts [m], without places, and the index of the outcome of each.
        """
        self._remember(columns)
        nothing = np.empty(0, dtype=np.int64)
        facts, of, slots = [Facts.blank(np.empty(0))], [nothing], [nothing]
        for turn in turns([row.end_to_end_id for row in told]):
            ids = [told[i].end_to_end_id for i in turn]
            asked_at = np.array([self._asked.get(id_, NO_SLOT) for id_ in ids])
            lives = np.concatenate([self._lives[id_] for id_ in ids])
            extra = np.where(asked_at[:, None] == NO_SLOT, extras(implied_by(lives), lives["amount"] * _CENTAVO), 1.0)
            after = advance(lives, [Outcome.of(told[i]) for i in turn], extra)
            for id_, life in zip(ids, after.lives, strict=True):
                self._keep(id_, life.reshape(1))
            facts.append(after.facts)
            of.append(np.array(turn)[after.of])
            slots.append(asked_at[after.of])
        every = np.concatenate(of)
        order = np.argsort(every, kind="stable")
        own = every[order]
        at = np.array(before, dtype=np.int64)[own]
        return Due(Facts.joined(facts, order), at, nothing, nothing, np.concatenate(slots)[order]), own

    def placed(self, row: OutcomeRow, place: int | None) -> OutcomeRow:
        """Return an outcome with its place, None if it changed nothing; a repeated one keeps that of the first."""
        places, identity = self._places.setdefault(row.end_to_end_id, {}), Outcome.of(row).hash
        if place is not None:
            places[identity] = place
        return msgspec.structs.replace(row, history_sequence=places.get(identity))

    def learn(self, reads: NDArray[np.float32]) -> None:
        """Take the reads of the batch's events, from which later settlements follow."""
        for id_, i in self._asked.items():
            if id_ in self._lives:
                self._lives[id_]["reads"] = reads[i]

    def note(self) -> OutcomesNote:
        """Return the state, for JSON."""
        lives = {id_: life.tobytes() for id_, life in self._lives.items()}
        return OutcomesNote(lives, self._open_places(), self._early)

    def resume(self, note: OutcomesNote) -> None:
        """Continue from a note; the outcomes that wait in it are still to come, those in the file are not in it."""
        self._lives = {id_: np.frombuffer(life, dtype=LIFE).copy() for id_, life in note.lives.items()}
        self._places, self._early = note.places, note.early
        for id_, rows in note.early.items():
            for _ in rows:
                self.expect(id_)

    def _open_places(self) -> dict[str, dict[int, int]]:
        return {id_: places for id_, places in self._places.items() if id_ in self._to_come}

    def _remember(self, columns: Columns) -> None:
        """Remember the lives of the batch's events that have outcomes to come."""
        if self._asked:
            rows = np.array(list(self._asked.values()))
            lives = asked(columns[rows], np.rint(columns.at[rows] * 1e6).astype(np.int64))
            lives["place"] = 0  # counted; its place does not matter here
            self._lives.update((id_, lives[i : i + 1].copy()) for i, id_ in enumerate(self._asked))

    def _keep(self, id_: str, life: Lives) -> None:
        """Keep a life while outcomes are to come."""
        self._to_come[id_] -= 1
        if self._to_come[id_]:
            self._lives[id_] = life.copy()
        else:
            del self._lives[id_], self._to_come[id_]
