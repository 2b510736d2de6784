"""A file of events as a source of a replay."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from shared.features.verdicts import Correction, VerdictLog
from shared.replay.arrow_columns import EVENT_COLUMNS
from shared.replay.arrow_rows import plain_table
from shared.replay.line_outcomes import OpenLives, OutcomesNote
from shared.replay.line_reports import LineReports, ReportsNote
from shared.replay.recurrence import CHUNK
from shared.replay.reports import Reported, chunk_of
from shared.replay.sources import ReplayBatch


class _Id(msgspec.Struct):
    end_to_end_id: str


_PAYEE = b'"PAYEE"'
_decode_id = msgspec.json.Decoder(_Id).decode


class _Note(msgspec.Struct):
    done: int
    place: int
    settles: bool
    count: int
    malformed: int
    other_sides: int
    both_sides: list[str]
    outcomes: OutcomesNote
    reports: ReportsNote


class _Numbered:
    """The items of a batch with their places in history."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self.outcomes: list[OutcomeRow] = []
        self.feedback: list[FeedbackRow] = []
        self.corrections: list[Correction] = []
        self.before: list[int] = []
        """The index of the event before which each correction counts."""


class EventLines:
    """The first `count` lines of a file of events (None: all), pseudonymised.

    Only transactions with a report, or with outcomes to come, are remembered. A report or an outcome that comes
    before its Pix, or a fraud marker before its infraction report, waits for it, as it does at the functions. In a
    file without outcomes, each Pix settles as soon as it was asked for. A Pix that both sides ask about counts once,
    and only the first side has a row.
    """

    def __init__(self, path: Path, count: int | None, pseudonymiser: Pseudonymiser) -> None:
        self._path = path
        self._count = self.total = count
        self._pseudonymiser = pseudonymiser
        self._lives, self._reports = OpenLives(), LineReports()
        self._settles: bool | None = None
        self._place = 0
        self._done = 0
        self.reports = 0
        self.malformed = 0
        self.other_sides = 0
        self._both_sides: dict[str, bool] = {}
        """Whether a Pix that both sides may ask about was asked for."""

    @property
    def verdicts(self) -> VerdictLog:
        """The verdicts that follow from the reports so far."""
        return self._reports.verdicts

    def batches(self, sequence: int) -> Iterator[ReplayBatch]:
        """Yield the rest of the file. Raises EventFileError with the number of a bad line."""
        self._survey()
        if self._settles is None:
            self._settles = not self._lives.expected
        self._place = max(self._place, sequence)
        lines = itertools.islice(read(self._path), self._done, self._count)
        while batch := list(itertools.islice(lines, CHUNK)):
            self._done += len(batch)
            yield self._batch(batch)

    def note(self) -> bytes:
        """Return the number of lines read, open lives, and the parties and verdicts of reported transactions."""
        counts = self._done, self._place, bool(self._settles), self.reports, self.malformed
        asked = [id_ for id_, is_asked in self._both_sides.items() if is_asked]
        return msgspec.json.encode(_Note(*counts, self.other_sides, asked, self._lives.note(), self._reports.note()))

    def resume(self, note: bytes) -> None:
        """Continue after the lines already read."""
        before = msgspec.json.decode(note, type=_Note)
        self._done, self._place, self._settles = before.done, before.place, before.settles
        self.reports, self.malformed = before.count, before.malformed
        self.other_sides, self._both_sides = before.other_sides, dict.fromkeys(before.both_sides, True)
        self._lives.resume(before.outcomes)
        self._reports.resume(before.reports)

    def learn(self, reads: NDArray[np.float32]) -> None:
        """Take the reads of the last batch's events, from which later settlements follow."""
        self._lives.learn(reads)

    def _survey(self) -> None:
        """Find out which Pix have reports, and how many outcomes, in the rest of the file."""
        returns: dict[str, str] = {}
        for line in itertools.islice(read(self._path), self._done, self._count):
            with contextlib.suppress(Malformed, msgspec.MsgspecError):
                if line.topic == TRANSACTIONS:
                    if _PAYEE in bytes(line.data):
                        self._both_sides.setdefault(_decode_id(line.data).end_to_end_id, False)
                elif line.topic == FEEDBACK and (id_ := self._feedback(line).end_to_end_id):
                    self._reports.expect(id_)
                elif line.topic == OUTCOMES:
                    outcome = decode_outcome(bytes(line.data)).value
                    self._lives.expect(outcome.end_to_end_id)
                    returns |= {outcome.return_id: outcome.end_to_end_id} if outcome.return_id else {}
        self._reports.expect_returns(returns)

    def _batch(self, lines: list[Line]) -> ReplayBatch:
        items = self._items(lines)
        events = [item for item in items if isinstance(item, Event)]
        values = columnwise(events)
        columns = Columns.of_fields(values)
        told, before = _told(items)
        if self._settles:
            due, changed = None, set(range(len(told)))
        else:
            due, changed = self._lives.advance(columns, told, before)
        found = self._numbered(items, changed)
        settles = np.full(len(columns), self._settles)
        chunk = chunk_of(columns, found.corrections, found.before, due, settles)
        rows = plain_table(values | {"history_sequence": found.places})
        return ReplayBatch(rows, chunk, found.feedback, found.outcomes, self._done, self._place)

    def _items(self, lines: list[Line]) -> list[Event | OutcomeRow | Reported]:
        """Return the items of lines in the order in which history takes them."""
        self._lives.begin()
        items: list[Event | OutcomeRow | Reported] = []
        asked = 0
        for line in lines:
            try:
                if line.topic == TRANSACTIONS:
                    found = self._asked(line, asked)
                    asked += bool(found)
                    items += found
                elif line.topic == OUTCOMES:
                    outcome = decode_outcome(bytes(line.data)).value
                    row = outcome_row(outcome, micros(outcome.at))
                    items += [] if self._lives.must_wait(row) else self._outcome(row)
                else:
                    items += self._reports.ready([self._feedback(line)])
                    self.reports += 1
            except Malformed:
                self.malformed += 1
        return items

    def _asked(self, line: Line, index: int) -> list[Event | OutcomeRow | Reported]:
        """Return a transaction, and the outcomes and reports that waited for it, none for the other side.

        Raises Malformed.
        """
        event = event_of(decode_transaction(bytes(line.data)).value, self._pseudonymiser)
        if event.end_to_end_id in self._both_sides:
            if self._both_sides[event.end_to_end_id]:
                self.other_sides += 1
                return []
            self._both_sides[event.end_to_end_id] = True
        outcomes = self._lives.ask(event.end_to_end_id, index)
        if self._settles and event.end_to_end_id[0] != "D":
            outcomes = [_settled(event)]
        reported = self._reports.ask(event)
        return [event, *(item for row in outcomes for item in self._outcome(row)), *reported]

    def _outcome(self, row: OutcomeRow) -> list[Event | OutcomeRow | Reported]:
        """Return an outcome, and the reports that waited for its return."""
        return [row, *self._reports.returned(row.return_id or "", row.end_to_end_id)]

    def _feedback(self, line: Line) -> FeedbackRow:
        row = feedback_row(decode_feedback(bytes(line.data)).value, 0, self._pseudonymiser)
        return msgspec.structs.replace(row, received_at=row.reported_at)

    def _numbered(self, items: list[Event | OutcomeRow | Reported], changed: set[int]) -> _Numbered:
        """Return items with places, each change of history the next one; `changed` names outcomes with a change."""
        found = _Numbered()
        for item in items:
            if isinstance(item, Event):
                self._place += 1
                found.places.append(self._place)
            elif isinstance(item, OutcomeRow):
                counts = len(found.outcomes) in changed
                self._place += counts
                found.outcomes.append(self._lives.placed(item, self._place if counts else None))
            else:
                self._tell(item, found)
        return found

    def _tell(self, reported: Reported, found: _Numbered) -> None:
        try:
            row, corrections = self._reports.tell(reported, self._place + 1)
        except Malformed:
            self.malformed += 1
            return
        self._place += bool(corrections)
        found.feedback.append(row)
        found.corrections += corrections
        found.before += [len(found.places)] * len(corrections)


def _told(items: list[Event | OutcomeRow | Reported]) -> tuple[list[OutcomeRow], list[int]]:
    """Return the outcomes among items, and the index of the event before which each counts."""
    told, before, asked = [], [], 0
    for item in items:
        if isinstance(item, Event):
            asked += 1
        elif isinstance(item, OutcomeRow):
            told.append(item)
            before.append(asked)
    return told, before


def _settled(event: Event) -> OutcomeRow:
    """Return the outcome of a Pix in a file that names none."""
    at = event.initiated_at
    return OutcomeRow(event.end_to_end_id, event.side, "SETTLED", at, at)


def columnwise(events: list[Event]) -> dict[str, Any]:
    """Return the values of events by field."""
    rows = zip(*map(msgspec.structs.astuple, events), strict=True)
    return dict(zip(EVENT_COLUMNS, rows, strict=True)) if events else dict.fromkeys(EVENT_COLUMNS, ())
