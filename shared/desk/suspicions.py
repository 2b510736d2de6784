"""The register of accounts under well-founded suspicion of fraud (Res. BCB 142/2021, art. 2-A, by Res. BCB 501/2025).

An institution that finds such a suspicion keeps a record of the information and documents behind it (answers of the
BCB of 2025-11-19, as reported), and rejects Pix to the account (`shared.scoring.suspected_accounts`). The rows of a
suspicion are its history, and none is ever changed.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable

from msgspec import Struct

from shared.contract.event import micros
from shared.contract.rows import SuspicionRow
from shared.contract.suspicion import Suspicion, SuspicionEvent, SuspicionState, suspicions
from shared.desk.documents import is_document
from shared.desk.errors import RecordRefused
from shared.desk.notes import NOTE_MAX, has_personal_data
from shared.desk.ports import SuspicionRows


class Finding(Struct, frozen=True):
    """The words of a record, without personal data, and the documents that it rests on."""

    text: str
    documents: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise RecordRefused, without repeating either."""
        if not 0 < len(self.text.strip()) <= NOTE_MAX:
            raise RecordRefused(f"a finding has 1 to {NOTE_MAX} characters")
        if has_personal_data(self.text):
            raise RecordRefused("the finding looks as if it named a person, a document, a phone, an account or a key")
        if not all(map(is_document, self.documents)):
            raise RecordRefused("a document is REPORT:ID, MARKER:ID, RECOVERY:ID or PIX:ENDTOENDID")


class SuspicionRegister:
    """The register, as one user writes it: `by_id` is the user's pseudonym, `now` returns the time in UTC.

    Two users who open one account's suspicion at the same moment may both succeed: both records are kept.
    """

    def __init__(
        self,
        rows: SuspicionRows,
        by_id: str,
        key_version: int,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._rows = rows
        self._by_id = by_id
        self._key_version = key_version
        self._now = now

    def open(self, account_id: str, finding: Finding, time: dt.timedelta) -> Suspicion:
        """Open a suspicion for a time. Raises RecordRefused, Unavailable, Misconfigured."""
        if not finding.documents:
            raise RecordRefused("name at least one document that the suspicion rests on")
        if self._in_force(account_id) is not None:
            raise RecordRefused("a suspicion of this account is in force: extend or lift it")
        return self._recorded(Suspicion(()), account_id, SuspicionEvent.OPENED, finding, time)

    def extend(self, account_id: str, finding: Finding, time: dt.timedelta) -> Suspicion:
        """Let the suspicion in force end a time from now. Raises RecordRefused, Unavailable, Misconfigured."""
        return self._recorded(self._that_of(account_id), account_id, SuspicionEvent.EXTENDED, finding, time)

    def lift(self, account_id: str, finding: Finding) -> Suspicion:
        """Lift the suspicion in force. Raises RecordRefused, Unavailable, Misconfigured."""
        return self._recorded(self._that_of(account_id), account_id, SuspicionEvent.LIFTED, finding, None)

    def _that_of(self, account_id: str) -> Suspicion:
        found = self._in_force(account_id)
        if found is None:
            raise RecordRefused("no suspicion of this account is in force")
        return found

    def _in_force(self, account_id: str) -> Suspicion | None:
        now = self._now()
        found = suspicions(self._rows.rows(account_id))
        return next((each for each in found if each.standing(now) is SuspicionState.IN_FORCE), None)

    def _recorded(
        self,
        known: Suspicion,
        account_id: str,
        event: SuspicionEvent,
        finding: Finding,
        time: dt.timedelta | None,
    ) -> Suspicion:
        finding.check()
        now = self._now()
        row = SuspicionRow(
            event_id=uuid.uuid4().hex,
            suspicion_id=known.opened.suspicion_id if known.rows else uuid.uuid4().hex,
            account_id=account_id,
            event=event.value,
            at=micros(now),
            by_id=self._by_id,
            finding=finding.text.strip(),
            documents=finding.documents,
            expires_at=None if time is None else micros(now + time),
            hmac_key_version=self._key_version,
        )
        self._rows.append(row)
        return Suspicion((*known.rows, row))
