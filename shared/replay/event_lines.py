"""A file of events as a source of a replay."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event, micros
from shared.contract.events_file import Line, read
from shared.contract.feedback import decode_feedback
from shared.contract.mapping import event_of, feedback_row, outcome_row
from shared.contract.outcome import decode_outcome
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow, OutcomeRow
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed
from shared.features.columns import Columns
from shared.features.facts import Facts, extras
from shared.features.life import LIFE, Lives, asked
from shared.features.outcomes import Outcome, advance
from shared.features.reports import state_of
from shared.features.verdicts import Correction, VerdictLog, subjects
from shared.ports import Parties
from shared.replay.arrow_columns import EVENT_COLUMNS
from shared.replay.arrow_rows import plain_table
from shared.replay.changes import turns
from shared.replay.recurrence import CHUNK, NO_SLOT, Due
from shared.replay.reports import chunk_of
from shared.replay.sources import ReplayBatch


class _Told(NamedTuple):
    """An outcome line: its Pix, and the index of the event before which it counts."""

    row: OutcomeRow
    before: int


class _Batch:
    """The lines of a batch by kind, in order, with the place of each in history."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.events: list[Event] = []
        self.places: list[int] = []
        self.ids: set[str] = set()
        self.settled: list[OutcomeRow] = []
        self.corrections: list[Correction] = []
        self.before: list[int] = []
        self.feedback: list[FeedbackRow] = []
        self.told: list[_Told] = []

    def next_place(self) -> int:
        """Return the place of the next change."""
        self.place += 1
        return self.place


class _EventNote(msgspec.Struct):
    done: int
    place: int
    outcomes: dict[str, int]
    early: dict[str, list[OutcomeRow]]
    lives: dict[str, bytes]
    reports: int
    malformed: int
    parties: dict[str, Parties | None]
    pix: dict[str, set[str]]
    waiting: dict[str, list[FeedbackRow]]
    verdicts: dict[str, bytes]


class EventLines:
    """The first `count` lines of a file of events (None: all), pseudonymised.

    Only transactions with a report, or with outcomes to come, are remembered. A report or an outcome that comes before
    its Pix, or a fraud marker before its infraction report, waits for it, as it does at the functions. In a file
    without outcomes, each Pix settles as soon as it was asked for.
    """

    def __init__(self, path: Path, count: int | None, pseudonymiser: Pseudonymiser) -> None:
        self._path = path
        self._count = self.total = count
        self._pseudonymiser = pseudonymiser
        self._parties: dict[str, Parties | None] | None = None
        self._outcomes: dict[str, int] = {}
        """Outcomes to come of each Pix."""
        self._early: dict[str, list[OutcomeRow]] = {}
        self._lives: dict[str, Lives] = {}
        self._asked: dict[str, int] = {}
        """The index of each remembered event of the last batch."""
        self._settles = True
        self._place = 0
        self._pix: dict[str, set[str]] = {}
        self._waiting: dict[str, list[FeedbackRow]] = {}
        self.verdicts = VerdictLog()
        self.reports = 0
        self.malformed = 0
        self._done = 0

    def batches(self, sequence: int) -> Iterator[ReplayBatch]:
        """Yield the rest of the file. Raises EventFileError with the number of a bad line."""
        if self._parties is None:
            self._survey()
        self._settles = not self._outcomes
        self._place = max(self._place, sequence)
        lines = itertools.islice(read(self._path), self._done, self._count)
        while batch := list(itertools.islice(lines, CHUNK)):
            self._done += len(batch)
            yield self._piece(batch)

    def note(self) -> bytes:
        """Return the number of lines read, and the parties and verdicts of reported transactions."""
        parties, log = self._parties or {}, self.verdicts.encoded()
        lives = {id_: life.tobytes() for id_, life in self._lives.items()}
        return msgspec.json.encode(
            _EventNote(
                *(self._done, self._place, self._outcomes, self._early, lives, self.reports, self.malformed),
                *(parties, self._pix, self._waiting, log),
            )
        )

    def resume(self, note: bytes) -> None:
        """Continue after the lines already read."""
        before = msgspec.json.decode(note, type=_EventNote)
        self._done, self.reports, self.malformed = before.done, before.reports, before.malformed
        self._parties, self._pix, self._waiting = before.parties, before.pix, before.waiting
        self.verdicts.restore(before.verdicts)
        self._place, self._outcomes, self._early = before.place, before.outcomes, before.early
        self._lives = {id_: np.frombuffer(life, dtype=LIFE).copy() for id_, life in before.lives.items()}

    def learn(self, reads: NDArray[np.float32]) -> None:
        """Take the reads of the last batch's events, from which later settlements follow."""
        for id_, i in self._asked.items():
            if id_ in self._lives:
                self._lives[id_]["reads"] = reads[i]

    def _survey(self) -> None:
        """Find out which Pix have reports, and how many outcomes."""
        self._parties, returns = {}, dict[str, str]()
        for line in itertools.islice(read(self._path), self._count):
            with contextlib.suppress(Malformed):
                if line.topic == FEEDBACK and (id_ := self._row(line).end_to_end_id):
                    self._parties[id_] = None
                elif line.topic == OUTCOMES:
                    outcome = decode_outcome(bytes(line.data)).value
                    id_ = outcome.end_to_end_id
                    self._outcomes[id_] = self._outcomes.get(id_, 0) + 1
                    returns |= {outcome.return_id: id_} if outcome.return_id else {}
        self._parties |= {returns[id_]: None for id_ in self._parties if id_ in returns}

    def _row(self, line: Line) -> FeedbackRow:
        row = feedback_row(decode_feedback(bytes(line.data)).value, 0, self._pseudonymiser)
        return msgspec.structs.replace(row, received_at=row.reported_at)

    def _piece(self, lines: list[Line]) -> ReplayBatch:
        batch = _Batch(self._place)
        for line in lines:
            try:
                self._take(line, batch)
            except Malformed:
                self.malformed += 1
        self._place = batch.place
        values = columnwise(batch.events)
        columns = Columns.of_fields(values)
        due, outcomes = self._changes(columns, batch)
        settles = np.full(len(columns), self._settles)
        chunk = chunk_of(columns, batch.corrections, batch.before, due, settles)
        rows = plain_table(values | {"history_sequence": batch.places})
        return ReplayBatch(rows, chunk, batch.feedback, batch.settled + outcomes, self._done, self._place)

    def _take(self, line: Line, batch: _Batch) -> None:
        """Read a line into a batch. Raises Malformed."""
        due: list[FeedbackRow] = []
        if line.topic == TRANSACTIONS:
            due = self._ask(self._event(line), batch)
        elif line.topic == OUTCOMES:
            outcome = decode_outcome(bytes(line.data)).value
            due = self._tell(outcome_row(outcome, micros(outcome.at)), batch)
        else:
            due = [self._row(line)]
            self.reports += 1
        while due:
            row = due.pop(0)
            if self._must_wait(row):
                continue
            found = self.verdicts.tell(row, self._about(row), batch.next_place())
            batch.feedback.append(self._placed(row))
            batch.corrections += found
            batch.before += [len(batch.events)] * len(found)
            due += self._waiting.pop(row.report_id, []) if row.source == "MED" else []

    def _ask(self, event: Event, batch: _Batch) -> list[FeedbackRow]:
        """Add an event to a batch; return the reports that waited for it."""
        batch.events.append(event)
        batch.places.append(batch.next_place())
        batch.ids.add(event.end_to_end_id)
        if self._settles and event.end_to_end_id[0] != "D":
            batch.settled.append(_settled(event, batch.next_place()))
        due = self._waiting.pop(event.end_to_end_id, [])
        for row in self._early.pop(event.end_to_end_id, []):
            due += self._tell(row, batch)
        return due

    def _tell(self, row: OutcomeRow, batch: _Batch) -> list[FeedbackRow]:
        """Add an outcome to a batch, or let it wait for its Pix; return the reports that waited for a return."""
        id_ = row.end_to_end_id
        if id_ not in self._lives and id_ not in batch.ids:
            self._early.setdefault(id_, []).append(row)
            return []
        batch.told.append(_Told(row, len(batch.events)))
        return self._returned(row.return_id or "", id_)

    def _returned(self, return_id: str, of: str) -> list[FeedbackRow]:
        """Learn the parties of a return that has reports; return the reports that waited for it."""
        assert self._parties is not None
        parties = self._parties.get(of)
        if return_id not in self._parties or parties is None:
            return []
        self._parties[return_id] = Parties(parties.payee_id, parties.payer_id, parties.device_id)
        return self._waiting.pop(return_id, [])

    def _changes(self, columns: Columns, batch: _Batch) -> tuple[Due, list[OutcomeRow]]:
        """Return the facts of a batch's outcomes, and their rows with places."""
        self._remember(columns, batch)
        facts, of, slots = [Facts.blank(np.empty(0))], [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for turn in turns([each.row.end_to_end_id for each in batch.told]):
            ids = [batch.told[i].row.end_to_end_id for i in turn]
            asked_at = np.array([self._asked.get(id_, NO_SLOT) for id_ in ids])
            before = np.concatenate([self._lives[id_] for id_ in ids])
            extra = np.where(asked_at[:, None] == NO_SLOT, extras(before["reads"], before["amount"] * 0.01), 1.0)
            after = advance(before, [_outcome(batch.told[i].row) for i in turn], extra)
            for id_, life in zip(ids, after.lives, strict=True):
                self._keep(id_, life.reshape(1))
            facts.append(after.facts)
            of.append(np.array(turn)[after.of])
            slots.append(asked_at[after.of])
        every = np.concatenate(of)
        order = np.argsort(every, kind="stable")
        changed = set(every.tolist())
        rows = [
            msgspec.structs.replace(each.row, history_sequence=batch.next_place() if i in changed else None)
            for i, each in enumerate(batch.told)
        ]
        self._place = batch.place
        at = np.array([each.before for each in batch.told], dtype=np.int64)[every[order]]
        none = np.empty(0, dtype=np.int64)
        return Due(Facts.joined(facts, order), at, none, none, np.concatenate(slots)[order]), rows

    def _remember(self, columns: Columns, batch: _Batch) -> None:
        """Remember the lives of a batch's events that have outcomes to come."""
        self._asked = {event.end_to_end_id: i for i, event in enumerate(batch.events)} if self._outcomes else {}
        self._asked = {id_: i for id_, i in self._asked.items() if id_ in self._outcomes}
        if self._asked:
            rows = np.array(list(self._asked.values()))
            lives = asked(columns[rows], np.rint(columns.at[rows] * 1e6).astype(np.int64))
            lives["place"] = np.array(batch.places)[rows]
            self._lives.update((id_, lives[i : i + 1].copy()) for i, id_ in enumerate(self._asked))

    def _keep(self, id_: str, life: Lives) -> None:
        """Keep a life while outcomes are to come."""
        left = self._outcomes[id_] = self._outcomes[id_] - 1
        if left:
            self._lives[id_] = life.copy()
        else:
            del self._lives[id_], self._outcomes[id_]

    def _event(self, line: Line) -> Event:
        event = event_of(decode_transaction(bytes(line.data)).value, self._pseudonymiser)
        assert self._parties is not None
        if event.end_to_end_id in self._parties:
            self._parties[event.end_to_end_id] = Parties(event.payer_id, event.payee_id, event.device_id)
        return event

    def _must_wait(self, row: FeedbackRow) -> bool:
        """Return whether the subject of a report is not known yet; if so, remember the report."""
        assert self._parties is not None
        if row.source == "FRAUD_MARKER":
            subject = row.infraction_report_id
            known = subject is None or subject in self._pix
        else:
            subject = row.end_to_end_id
            known = subject is None or state_of(row) is None or self._parties.get(subject) is not None
        if not known and subject is not None:
            self._waiting.setdefault(subject, []).append(row)
        return not known

    def _about(self, row: FeedbackRow) -> dict[str, Parties]:
        """Return the parties of each Pix that a report is about."""
        assert self._parties is not None
        if row.source == "MED" and row.end_to_end_id:
            self._pix.setdefault(row.report_id, set()).add(row.end_to_end_id)
        about = (
            self._pix.get(row.infraction_report_id or "", set()) if row.end_to_end_id is None else {row.end_to_end_id}
        )
        return {id_: parties for id_ in about if (parties := self._parties.get(id_))}

    def _placed(self, row: FeedbackRow) -> FeedbackRow:
        """Return a row with the place at which history counted it."""
        state = state_of(row)
        if state is None:
            return row
        keys = [subject.key for subject in subjects(row, self._about(row))]
        places = [place for key in keys if (place := self.verdicts.place_of(key, state)) is not None]
        return msgspec.structs.replace(row, history_sequence=max(places, default=None))


def _settled(event: Event, place: int) -> OutcomeRow:
    """Return the outcome of a Pix in a file that names none."""
    at = event.initiated_at
    return OutcomeRow(event.end_to_end_id, event.side, "SETTLED", at, at, history_sequence=place)


def _outcome(row: OutcomeRow) -> Outcome:
    return Outcome(row.status, row.at, row.return_id, row.amount or 0)


def columnwise(events: list[Event]) -> dict[str, Any]:
    """Return the values of events by field."""
    rows = zip(*map(msgspec.structs.astuple, events), strict=True)
    return dict(zip(EVENT_COLUMNS, rows, strict=True)) if events else dict.fromkeys(EVENT_COLUMNS, ())
