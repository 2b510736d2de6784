"""Reports in a file of events, those that wait for their subject, and the verdicts that follow."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shared.contract.event import Event
from shared.contract.rows import FeedbackRow
from shared.features.reports import state_of
from shared.features.verdicts import Correction, VerdictLog, subjects
from shared.ports.decisions import Parties
from shared.replay.reported import Reported


class ReportsNote(msgspec.Struct):
    """Parties by EndToEndId, Pix by report, reports that wait by their subject, and verdicts, for JSON."""

    parties: dict[str, Parties | None]
    pix: dict[str, set[str]]
    waiting: dict[str, list[FeedbackRow]]
    verdicts: dict[str, bytes]


class LineReports:
    """Reports whose Pix and infraction reports come in the same file, before or after them.

    Memory is bounded by the number of reported Pix.
    """

    def __init__(self) -> None:
        self._parties: dict[str, Parties | None] = {}
        self._pix: dict[str, set[str]] = {}
        self._waiting: dict[str, list[FeedbackRow]] = {}
        self.verdicts = VerdictLog()

    def expect(self, end_to_end_id: str) -> None:
        """Note that a report about a Pix is to come."""
        self._parties.setdefault(end_to_end_id, None)

    def expect_returns(self, returns: Mapping[str, str]) -> None:
        """Note the Pix of each return in the file: a report about a return needs that Pix's parties."""
        self._parties |= {returns[id_]: None for id_ in self._parties if id_ in returns}

    def returned(self, return_id: str, end_to_end_id: str) -> list[Reported]:
        """Remember the parties of a return that is reported; return the reports that waited for it."""
        parties = self._parties.get(end_to_end_id)
        if return_id not in self._parties or parties is None:
            return []
        self._parties[return_id] = Parties(parties.payee_id, parties.payer_id, parties.device_id)
        return self.ready(self._waiting.pop(return_id, []))

    def ask(self, event: Event) -> list[Reported]:
        """Remember the parties of an event that is reported; return the reports that waited for it."""
        id_ = event.end_to_end_id
        if id_ in self._parties:
            self._parties[id_] = Parties(event.payer_id, event.payee_id, event.device_id)
        return self.ready(self._waiting.pop(id_, []))

    def ready(self, rows: list[FeedbackRow]) -> list[Reported]:
        """Return the reports whose subject is known, and those that waited for them; the others wait."""
        found, due = [], list(rows)
        while due:
            row = due.pop(0)
            if self._must_wait(row):
                continue
            found.append(Reported(row, self._about(row)))
            due += self._waiting.pop(row.report_id, []) if row.source == "MED" else []
        return found

    def tell(self, reported: Reported, place: int) -> tuple[FeedbackRow, list[Correction]]:
        """Return the row of a report with its place in history, and the corrections to count at `place`.

        A report that was told before keeps its place. Raises Malformed.
        """
        row, parties = reported
        found, state = self.verdicts.tell(row, parties, place), state_of(row)
        if state is None:
            return row, found
        keys = [subject.key for subject in subjects(row, parties)]
        places = [known for key in keys if (known := self.verdicts.place_of(key, state)) is not None]
        return msgspec.structs.replace(row, history_sequence=max(places, default=None)), found

    def note(self) -> ReportsNote:
        """Return the state, for JSON."""
        return ReportsNote(self._parties, self._pix, self._waiting, self.verdicts.encoded())

    def resume(self, note: ReportsNote) -> None:
        """Continue from a note."""
        self._parties, self._pix, self._waiting = note.parties, note.pix, note.waiting
        self.verdicts.restore(note.verdicts)

    def _must_wait(self, row: FeedbackRow) -> bool:
        """Return whether the subject of a report is not known yet; if so, remember the report."""
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
        if row.source == "MED" and row.end_to_end_id:
            self._pix.setdefault(row.report_id, set()).add(row.end_to_end_id)
        marked = self._pix.get(row.infraction_report_id or "", set())
        about = marked if row.end_to_end_id is None else {row.end_to_end_id}
        return {id_: parties for id_ in about if (parties := self._parties.get(id_))}
