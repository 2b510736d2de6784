"""A file of events as a source of a replay."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from shared.batched import batched
from shared.contract.event import Event
from shared.contract.events_file import Line, read
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.reading import Clock
from shared.contract.rows import FeedbackRow, OutcomeRow
from shared.contract.topics import TRANSACTIONS
from shared.errors import Malformed, Unavailable
from shared.features.arrays import Floats
from shared.features.verdicts import Correction, VerdictLog
from shared.replay.arrow_rows import plain_table
from shared.replay.line_claims import ClaimsNote
from shared.replay.line_messages import LineMessages
from shared.replay.line_outcomes import OpenLives, OutcomesNote
from shared.replay.line_reports import LineReports, ReportsNote
from shared.replay.recurrence import CHUNK
from shared.replay.reported import Reported
from shared.replay.reports import chunk_of
from shared.replay.sources import LeftOut, ReplayBatch


class _Note(msgspec.Struct):
    done: int
    place: int
    settles: bool
    count: int
    left_out: LeftOut
    claims: ClaimsNote
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
        self.at: list[int] = []
        """The place of the report of each correction."""


class EventLines:
    """The first `count` lines of a file of events in time order (None: all), pseudonymised.

    Lines are read, refused and told apart as messages are at the functions, see `LineMessages`; `clock` is that of
    all lines. Only transactions with a report, or with outcomes to come, are remembered. A report or an outcome that
    comes before its Pix, or a fraud marker before its infraction report, waits for it, as it does at the functions.
    In a file without outcomes, each Pix settles as soon as it was asked for. A Pix that both sides ask about counts
    once, and only the first side has a row.
    """

    def __init__(self, path: Path, count: int | None, pseudonymiser: Pseudonymiser, clock: Clock) -> None:
        self._path = path
        self._count = self.total = count
        self._messages = LineMessages(pseudonymiser, clock)
        self._lives, self._reports = OpenLives(), LineReports()
        self._settles: bool | None = None
        self._place = 0
        self._first = 0
        self.streams = 1
        self._done = 0
        self.reports = 0

    @property
    def left_out(self) -> LeftOut:
        """The lines so far that have no row, by reason."""
        return self._messages.left_out

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
        for batch in batched(lines, CHUNK):
            self._done += len(batch)
            yield self._batch(batch)

    def note(self) -> bytes:
        """Return the number of lines read, claims, open lives, and the parties and verdicts of reported Pix."""
        counts = self._done, self._place, bool(self._settles), self.reports, self.left_out
        return msgspec.json.encode(_Note(*counts, self._messages.note(), self._lives.note(), self._reports.note()))

    def resume(self, note: bytes) -> None:
        """Continue after the lines already read."""
        before = msgspec.json.decode(note, type=_Note)
        self._done, self._place, self._settles = before.done, before.place, before.settles
        self.reports = before.count
        self._messages.resume(before.left_out, before.claims)
        self._lives.resume(before.outcomes)
        self._reports.resume(before.reports)

    def learn(self, extras: Floats) -> None:
        """Take the EXTRAS of the events since it last learned, from which later settlements follow."""
        self._lives.learn(extras)
        self._first = 0

    def _survey(self) -> None:
        """Find out which Pix have reports, and how many outcomes, in the rest of the file."""
        returns: dict[str, str] = {}
        for line in itertools.islice(read(self._path), self._done, self._count):
            if line.topic == TRANSACTIONS:
                continue
            with contextlib.suppress(Malformed, Unavailable):
                record = self._messages.parse(line)
                if isinstance(record, OutcomeRow):
                    self._lives.expect(record.end_to_end_id)
                    returns |= {record.return_id: record.end_to_end_id} if record.return_id else {}
                elif record.end_to_end_id:
                    self._reports.expect(record.end_to_end_id)
        self._reports.expect_returns(returns)

    def _batch(self, lines: list[Line]) -> ReplayBatch:
        messages, asked = self._messages.read(lines, self._lives.forgo)
        items = self._items(messages)
        told, before = _told(items)
        if self._settles:
            due, changed, refused = None, np.arange(len(told)), set[int]()
        else:
            due, changed, refused = self._lives.advance(asked.columns, told, before, self._first)
        found = self._numbered(items, set(changed.tolist()))
        if due is not None:
            due = due._replace(at=np.array([found.outcomes[i].history_sequence for i in changed], dtype=np.int64))
        settles = np.full(len(asked.columns), self._settles)
        chunk = chunk_of(asked.columns, found.corrections, found.before, due, settles, found.at, first=self._first)
        self._first += len(asked.columns)
        rows = plain_table(asked.values | {"history_sequence": found.places})
        self._messages.left_out.malformed += len(refused)
        outcomes = [row for i, row in enumerate(found.outcomes) if i not in refused]
        return ReplayBatch(rows, chunk, found.feedback, outcomes, self._done, self._place)

    def _items(self, messages: list[Event | OutcomeRow | FeedbackRow]) -> list[Event | OutcomeRow | Reported]:
        """Return messages, and those that waited for them, in the order in which history takes them."""
        self._lives.begin()
        items: list[Event | OutcomeRow | Reported] = []
        asked = 0
        for message in messages:
            if isinstance(message, Event):
                items += self._asked(message, asked)
                asked += 1
            elif isinstance(message, OutcomeRow):
                items += [] if self._lives.must_wait(message) else self._outcome(message)
            else:
                items += self._reports.ready([message])
                self.reports += 1
        return items

    def _asked(self, event: Event, index: int) -> list[Event | OutcomeRow | Reported]:
        """Return a transaction, and the outcomes and reports that waited for it."""
        outcomes = self._lives.ask(event.end_to_end_id, index)
        if self._settles and event.end_to_end_id[0] != "D":
            outcomes = [_settled(event)]
        reported = self._reports.ask(event)
        return [event, *(item for row in outcomes for item in self._outcome(row)), *reported]

    def _outcome(self, row: OutcomeRow) -> list[Event | OutcomeRow | Reported]:
        """Return an outcome, and the reports that waited for its return."""
        return [row, *self._reports.returned(row.return_id or "", row.end_to_end_id)]

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
            self.left_out.malformed += 1
            return
        self._place += bool(corrections)
        found.feedback.append(row)
        found.corrections += corrections
        found.before += [len(found.places)] * len(corrections)
        found.at += [self._place] * len(corrections)


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
