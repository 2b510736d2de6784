"""The verdict about a Pix that is in force by its reports, and the corrections of history when it changes.

Precedence: an infraction report that the payee's institution agreed to, unless its fraud marker was cancelled; then
the analyst's latest word; then a customer who contests; then an open infraction report. Else the Pix is legitimate.
`contract/bigquery/labels.sql` is the same in GoogleSQL, where a report that ended says nothing of a Pix that was not
paid (UNKNOWN); history counts the word as it comes, often before the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from shared.contract.fields import Verdict
from shared.contract.rows import FeedbackRow
from shared.errors import Malformed
from shared.features.arrays import Floats
from shared.features.facts import Facts, VerdictCount, marker_facts, recovery_facts, verdict_facts
from shared.features.keys import keys_of
from shared.features.reports import UNPLACED, Counted, Reports, ReportState, Standing, latest, state_of


class VerdictSource(StrEnum):
    """The word that a verdict rests on."""

    AGREED = "AGREED"
    ANALYST = "ANALYST"
    CONTESTED = "CONTESTED"
    OPEN = "OPEN"
    DISAGREED = "DISAGREED"
    """The word of the payee's institution alone: weak."""
    CANCELLED = "CANCELLED"
    """Of an infraction report, or of the fraud marker that followed from it."""
    WITHDRAWN = "WITHDRAWN"
    SILENCE = "SILENCE"
    """Nobody reported it while reports were possible."""
    UNPAID = "UNPAID"
    """It was stopped, and nobody reviewed it: a verdict UNKNOWN of the view, as an unpaid Pix is not reported."""


class _Rank(NamedTuple):
    precedence: int
    verdict: Verdict
    source: VerdictSource


_RANKS = {
    Standing.AGREED: _Rank(1, Verdict.FRAUD, VerdictSource.AGREED),
    Standing.CONFIRMED: _Rank(2, Verdict.FRAUD, VerdictSource.ANALYST),
    Standing.CLEARED: _Rank(2, Verdict.LEGITIMATE, VerdictSource.ANALYST),
    Standing.CONTESTED: _Rank(3, Verdict.PENDING, VerdictSource.CONTESTED),
    Standing.OPEN: _Rank(4, Verdict.PENDING, VerdictSource.OPEN),
    Standing.ACKNOWLEDGED: _Rank(4, Verdict.PENDING, VerdictSource.OPEN),
    Standing.DISAGREED: _Rank(5, Verdict.LEGITIMATE, VerdictSource.DISAGREED),
    Standing.CANCELLED: _Rank(5, Verdict.LEGITIMATE, VerdictSource.CANCELLED),
    Standing.WITHDRAWN: _Rank(5, Verdict.LEGITIMATE, VerdictSource.WITHDRAWN),
}
PartyIds = tuple[str, str, str | None]
"""The pseudonyms of payer, payee and device."""
_LATEST_WINS = (2, 5)
"""The precedences at which a later word replaces an earlier one; at the others, the first one is in force."""
_INFRACTIONS = (Standing.OPEN, Standing.ACKNOWLEDGED, Standing.DISAGREED, Standing.AGREED, Standing.CANCELLED)


class InForce(NamedTuple):
    """The verdict in force about a Pix."""

    verdict: Verdict
    source: VerdictSource
    at: int
    """Microseconds since the epoch, since when."""
    hop: int
    """Hop of the Pix in the tracking graph of its infraction reports, 0 without such a report."""


def in_force(states: Iterable[ReportState]) -> InForce | None:
    """Return the verdict that follows from states of reports, None if none of them is about the Pix itself."""
    standing = latest(states)
    revoked: dict[int, int] = {}
    for each in standing:
        if each.standing is Standing.REVOKED:
            revoked[each.about] = max(each.reported_at, revoked.get(each.about, 0))
    words = [_without_marker(each, revoked) for each in standing if each.standing in _RANKS]
    if not words:
        return None
    word = min(words, key=_precedence)
    rank = _RANKS[word.standing]
    hops = [each.hop or 1 for each in words if each.standing in _INFRACTIONS]
    hop = (word.hop or 1) if word.standing is Standing.AGREED else min(hops, default=0)
    return InForce(rank.verdict, rank.source, word.reported_at, hop)


def _without_marker(state: ReportState, revoked: dict[int, int]) -> ReportState:
    """Return an agreed report whose fraud marker was cancelled as a cancelled one."""
    if state.standing is not Standing.AGREED or state.report not in revoked:
        return state
    return state._replace(standing=Standing.CANCELLED, reported_at=max(state.reported_at, revoked[state.report]))


def _precedence(state: ReportState) -> tuple[int, ...]:
    """Return the key whose least value is in force; a report of the root goes before one of a later hop."""
    precedence = _RANKS[state.standing].precedence
    hop = (state.hop or 1) if state.standing is Standing.AGREED else 0
    sign = -1 if precedence in _LATEST_WINS else 1
    return precedence, hop, sign * state.reported_at, -state.standing, -state.state_hash


class MarkerCount(NamedTuple):
    """A fraud marker of a person or a key (chave) to count (`sign` 1), or to take back (-1)."""

    holder_id: str
    reported_at: int
    sign: int


class RecoveryCount(NamedTuple):
    """A funds recovery in which an account appears to count (`sign` 1), or to take back (-1)."""

    payee_id: str
    reported_at: int
    sign: int


_FRAUD, _CLEARED, _MARKED, _RECOVERED = 1, 2, 3, 4
Correction = VerdictCount | MarkerCount | RecoveryCount
"""A change of history: counted, or, with `sign` -1, taken back as it was counted."""


def facts_of(found: Sequence[Correction]) -> Facts:
    """Return the fact of each correction, in their order."""
    verdicts = [each for each in found if isinstance(each, VerdictCount)]
    markers = [each for each in found if isinstance(each, MarkerCount)]
    recoveries = [each for each in found if isinstance(each, RecoveryCount)]
    parts = (
        verdict_facts(verdicts),
        marker_facts(keys_of([each.holder_id for each in markers]), *_when(markers)),
        recovery_facts(keys_of([each.payee_id for each in recoveries]), *_when(recoveries)),
    )
    kinds = [(VerdictCount, MarkerCount, RecoveryCount).index(type(each)) for each in found]
    return Facts.joined(parts, np.argsort(np.argsort(np.array(kinds, dtype=np.int64), kind="stable")))


def _when(counts: Sequence[MarkerCount | RecoveryCount]) -> tuple[Floats, Floats]:
    """Return the times [n], in seconds, and the signs [n] of corrections."""
    at = np.array([each.reported_at for each in counts], dtype=np.float64) * 1e-6
    return at, np.array([each.sign for each in counts], dtype=np.float64)


def corrections(before: Reports, after: Reports) -> list[Correction]:
    """Return the corrections of history between two values of one subject."""
    if before.counted == after.counted:
        return []
    return [*_signed(before.counted, -1), *_signed(after.counted, 1)]


def _judged(end_to_end_id: str, parties: PartyIds, reports: Reports, state: ReportState) -> Reports:
    return reports.with_state(state, partial(_verdict_counted, end_to_end_id, parties))


def _marked(person_id: str, key_id: str | None, reports: Reports, state: ReportState) -> Reports:
    return reports.with_state(state, partial(_marker_counted, person_id, key_id))


def _recovered(payee_id: str, reports: Reports, state: ReportState) -> Reports:
    """Return the next value, the same one if it is full: the account is counted already, if it is counted at all."""
    with suppress(Malformed):
        return reports.with_state(state, partial(_recovery_counted, payee_id))
    return reports


def _verdict_counted(end_to_end_id: str, parties: PartyIds, states: Iterable[ReportState]) -> Counted | None:
    verdict = in_force(states)
    if verdict is None or verdict.verdict is Verdict.PENDING:
        return None
    # Nobody is the victim who passes on a stolen sum, or who pays back the money of a Pix to somebody who lied.
    payer, payee, device = parties
    if verdict.hop > 1 or end_to_end_id.startswith("D"):
        payer = ""
    kind = _FRAUD if verdict.verdict is Verdict.FRAUD else _CLEARED
    return Counted(kind, max(verdict.hop, 1), verdict.at, (payer, payee, device or ""))


def _marker_counted(person_id: str, key_id: str | None, states: Iterable[ReportState]) -> Counted | None:
    state = max(states, key=lambda each: each.order)
    if state.standing is not Standing.REGISTERED:
        return None
    return Counted(_MARKED, 0, state.reported_at, (person_id, key_id or "", ""))


def _recovery_counted(payee_id: str, states: Iterable[ReportState]) -> Counted | None:
    """Return the account in a recovery, once, since the first report that is agreed."""
    agreed = [each.reported_at for each in latest(states) if each.standing is Standing.AGREED]
    return Counted(_RECOVERED, 0, min(agreed), (payee_id, "", "")) if agreed else None


def _signed(counted: Counted | None, sign: int) -> list[Correction]:
    if counted is None:
        return []
    kind, hop, at, (first, second, third) = counted
    if kind == _MARKED:
        return [MarkerCount(holder, at, sign) for holder in (first, second) if holder]
    if kind == _RECOVERED:
        return [RecoveryCount(first, at, sign)]
    return [VerdictCount(first, second, third or None, at, kind == _FRAUD, sign, hop)]


VERDICT_KEY, MARKER_KEY, RECOVERY_KEY = "s", "m", "r"
"""Letters of the keys of verdicts by EndToEndId, of fraud markers by report, and of accounts in funds recoveries."""


def pix_key(end_to_end_id: str) -> str:
    """Return the key of a Pix's reports in a store of history."""
    return VERDICT_KEY + end_to_end_id


def marker_key(report_id: str) -> str:
    """Return the key of a fraud marker's states in a store of history."""
    return MARKER_KEY + report_id


def recovery_key(funds_recovery_id: str, payee_id: str) -> str:
    """Return the key of the reports about an account in a funds recovery in a store of history."""
    return RECOVERY_KEY + blake2b(f"{funds_recovery_id}\0{payee_id}".encode(), digest_size=16).hexdigest()


class Subject(NamedTuple):
    """A value of history to which a report adds its state; `next` derives the new value, and raises Malformed."""

    key: str
    next: Callable[[Reports, ReportState], Reports]


def subjects(row: FeedbackRow, parties: Mapping[str, PartyIds]) -> list[Subject]:
    """Return the subjects of a row of `pix.feedback`, given the parties of each known Pix that it is about.

    An infraction report in a funds recovery is about its Pix, and about the payee's account in that recovery.
    """
    found = []
    if row.source == "FRAUD_MARKER":
        found.append(Subject(marker_key(row.report_id), partial(_marked, row.person_id or "", row.key_id)))
    for end_to_end_id in sorted(parties):
        of = parties[end_to_end_id]
        found.append(Subject(pix_key(end_to_end_id), partial(_judged, end_to_end_id, of)))
        if row.funds_recovery_id:
            found.append(Subject(recovery_key(row.funds_recovery_id, of[1]), partial(_recovered, of[1])))
    return found


class VerdictLog:
    """The values of Pix, fraud markers and accounts in funds recoveries, by their keys in a store of history."""

    def __init__(self) -> None:
        self.values: dict[str, Reports] = {}

    def tell(self, row: FeedbackRow, parties: Mapping[str, PartyIds], place: int) -> list[Correction]:
        """Record a row of `pix.feedback`; return the corrections to count at `place`. Raises Malformed.

        `parties` are those of each known Pix that the row is about.
        """
        state = state_of(row)
        if state is None:
            return []
        return [each for subject in subjects(row, parties) for each in self.add(subject, state, place)]

    def add(self, subject: Subject, state: ReportState, place: int) -> list[Correction]:
        """Record a state of a subject; return the corrections to count at `place`. Raises Malformed."""
        before = self.values.get(subject.key, Reports())
        if before.place_of(state) is not None:
            return []
        after = subject.next(before, state)
        found = corrections(before, after)
        self.values[subject.key] = after.placed(place) if found else after
        return found

    def place_of(self, key: str, state: ReportState) -> int | None:
        """Return the place at which a state changed history, None if it never did."""
        place = self.values[key].place_of(state) if key in self.values else None
        return None if place == UNPLACED else place

    def encoded(self) -> dict[str, bytes]:
        """Return the bytes of each value, by its key."""
        return {key: value.encode() for key, value in self.values.items()}

    def restore(self, encoded: Mapping[str, bytes]) -> None:
        """Continue from encoded values."""
        self.values = {key: Reports.decode(value) for key, value in encoded.items()}
