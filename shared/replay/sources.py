"""Sources of a replay: a file of events, or stored rows."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.contract.events_file import Line, read
from shared.contract.feedback import decode_feedback
from shared.contract.mapping import event_of, feedback_row
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow
from shared.contract.topics import FEEDBACK, TRANSACTIONS
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed, Misconfigured
from shared.features.columns import Columns
from shared.features.reports import UNPLACED, state_of
from shared.features.verdicts import Correction, VerdictLog, marker_key, pix_key
from shared.ports import Parties
from shared.replay.arrow_columns import EVENT_COLUMNS, columns_of, whole
from shared.replay.arrow_rows import plain_table
from shared.replay.recurrence import CHUNK, Chunk
from shared.replay.reports import ReportQueue, chunk_of


class ReplayBatch(NamedTuple):
    """A batch of transactions: their rows, the facts that history counts, and the reports among them."""

    rows: pa.Table
    chunk: Chunk
    feedback: list[FeedbackRow]
    done: int
    """Lines or rows read from the source so far, this batch included."""


class ReplaySource(Protocol):
    """Transactions and reports in the order in which history counts them."""

    verdicts: VerdictLog
    malformed: int
    total: int | None

    @property
    def reports(self) -> int:
        """The number of reports read."""
        ...

    def batches(self, sequence: int) -> Iterator[ReplayBatch]:
        """Yield the rest of the source, after `sequence` transactions. Raises PixError."""
        ...

    def note(self) -> bytes:
        """Return the position after the last batch, as JSON."""
        ...

    def resume(self, note: bytes) -> None:
        """Continue from a position."""
        ...


class _EventNote(msgspec.Struct):
    done: int
    reports: int
    malformed: int
    parties: dict[str, Parties | None]
    pix: dict[str, set[str]]
    waiting: dict[str, list[FeedbackRow]]
    verdicts: dict[str, bytes]


class EventLines:
    """The first `count` lines of a file of events (None: all), pseudonymised.

    Only transactions with a report are remembered. A report that comes before its Pix, or a fraud marker before its
    infraction report, waits for it, as it does at the label function.
    """

    def __init__(self, path: Path, count: int | None, pseudonymiser: Pseudonymiser) -> None:
        self._path = path
        self._count = self.total = count
        self._pseudonymiser = pseudonymiser
        self._parties: dict[str, Parties | None] | None = None
        self._pix: dict[str, set[str]] = {}
        self._waiting: dict[str, list[FeedbackRow]] = {}
        self.verdicts = VerdictLog()
        self.reports = 0
        self.malformed = 0
        self._done = 0

    def batches(self, sequence: int) -> Iterator[ReplayBatch]:
        """Yield the rest of the file. Raises EventFileError with the number of a bad line."""
        if self._parties is None:
            self._parties = {row.end_to_end_id: None for row in self._reports() if row.end_to_end_id}
        lines = itertools.islice(read(self._path), self._done, self._count)
        while batch := list(itertools.islice(lines, CHUNK)):
            self._done += len(batch)
            piece = self._piece(batch, sequence)
            sequence += len(piece.chunk.events)
            yield piece

    def note(self) -> bytes:
        """Return the number of lines read, and the parties and verdicts of reported transactions."""
        parties, log = self._parties or {}, self.verdicts.encoded()
        return msgspec.json.encode(
            _EventNote(self._done, self.reports, self.malformed, parties, self._pix, self._waiting, log)
        )

    def resume(self, note: bytes) -> None:
        """Continue after the lines already read."""
        before = msgspec.json.decode(note, type=_EventNote)
        self._done, self.reports, self.malformed = before.done, before.reports, before.malformed
        self._parties, self._pix, self._waiting = before.parties, before.pix, before.waiting
        self.verdicts.restore(before.verdicts)

    def _reports(self) -> Iterator[FeedbackRow]:
        for line in itertools.islice(read(self._path), self._count):
            if line.topic == FEEDBACK:
                with contextlib.suppress(Malformed):
                    yield self._row(line)

    def _row(self, line: Line) -> FeedbackRow:
        row = feedback_row(decode_feedback(bytes(line.data)).value, 0, self._pseudonymiser)
        return msgspec.structs.replace(row, received_at=row.reported_at)

    def _piece(self, lines: list[Line], sequence: int) -> ReplayBatch:
        events: list[Event] = []
        counts: list[Correction] = []
        before: list[int] = []
        feedback: list[FeedbackRow] = []
        for line in lines:
            try:
                if line.topic == TRANSACTIONS:
                    events.append(self._event(line))
                    due = self._waiting.pop(events[-1].end_to_end_id, [])
                else:
                    due = [self._row(line)]
                    self.reports += 1
            except Malformed:
                self.malformed += 1
                continue
            while due:
                row = due.pop(0)
                if self._must_wait(row):
                    continue
                found = self.verdicts.tell(row, self._about(row), sequence + len(events))
                feedback.append(self._placed(row))
                counts += found
                before += [len(events)] * len(found)
                due += self._waiting.pop(row.report_id, []) if row.source == "MED" else []
        values = columnwise(events)
        return ReplayBatch(
            plain_table(values), chunk_of(Columns.of_fields(values), counts, before), feedback, self._done
        )

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
        keys = [pix_key(id_) for id_ in self._about(row)]
        keys += [marker_key(row.report_id)] if row.source == "FRAUD_MARKER" else []
        places = [place for key in keys if (place := self.verdicts.place_of(key, state)) is not None]
        return msgspec.structs.replace(row, history_sequence=max(places, default=None))


class _StoredNote(msgspec.Struct):
    position: int
    last: list[str | int | None]
    queue: Any


class StoredRows:
    """Rows of `score_events` in order, and the reports between them.

    A row that repeats its predecessor is left out: it was delivered twice.
    """

    def __init__(
        self,
        open_rows: Callable[[int], Iterable[pa.Table]],
        reports: ReportQueue,
        placed: bool,
        total: int | None = None,
    ) -> None:
        """`open_rows(n)` yields the rows after the first n; `placed` rows have places in history."""
        self._open = open_rows
        self._reports = reports
        self._placed = placed
        self._position = 0
        self._last: tuple[str | None, int] = (None, np.iinfo(np.int64).min)
        self.verdicts = reports.verdicts
        self.malformed = 0
        self.total = total

    def batches(self, sequence: int) -> Iterator[ReplayBatch]:
        """Yield the remaining rows, then the reports after the last row. Raises PixError."""
        del sequence  # rows with a place keep it
        empty = None
        for batch in self._open(self._position):
            self._position = self._position + batch.num_rows
            rows = self._fresh(batch)
            empty = rows.slice(0, 0)
            if rows.num_rows:
                places = whole(rows["history_sequence"], UNPLACED) if self._placed else np.full(len(rows), UNPLACED)
                seen_at = whole(rows["scored_at" if self._placed else "initiated_at"], 0)
                chunk = chunk_of(columns_of(rows), *self._reports.before(places, seen_at))
                yield ReplayBatch(rows, chunk, [], self._position)
        if empty is not None:
            yield ReplayBatch(empty, chunk_of(columns_of(empty), *self._reports.rest(0)), [], self._position)

    @property
    def reports(self) -> int:
        """The number of reports given out."""
        return sum(self._reports.given)

    def note(self) -> bytes:
        """Return the numbers of rows read and of reports given out."""
        return msgspec.json.encode(_StoredNote(self._position, list(self._last), self._reports.note()))

    def resume(self, note: bytes) -> None:
        """Continue after the rows already read."""
        before = msgspec.json.decode(note, type=_StoredNote)
        self._position = before.position
        self._last = (before.last[0], before.last[1])  # type: ignore[assignment] # JSON has no tuples
        self._reports.resume(before.queue)

    def _fresh(self, rows: pa.Table) -> pa.Table:
        """Return the rows that do not repeat their predecessor. Raises Misconfigured if they are out of order."""
        ids: NDArray[np.object_] = rows["end_to_end_id"].to_numpy()
        before = np.roll(ids, 1)
        before[0] = self._last[0]
        order = whole(rows["history_sequence" if self._placed else "initiated_at"], UNPLACED)
        if self._placed:
            order = order[order != UNPLACED]
        if np.any(order[1:] < order[:-1]) or (len(order) and order[0] < self._last[1]):
            raise Misconfigured(
                "the rows are in the order of neither history_sequence nor, without one, initiated_at; "
                "write them with ORDER BY"
            )
        self._last = (ids[-1], int(order[-1]) if len(order) else self._last[1])
        return rows.filter(pa.array(ids != before))


def columnwise(events: list[Event]) -> dict[str, Any]:
    """Return the values of events by field."""
    rows = zip(*map(msgspec.structs.astuple, events), strict=True)
    return dict(zip(EVENT_COLUMNS, rows, strict=True)) if events else dict.fromkeys(EVENT_COLUMNS, ())
