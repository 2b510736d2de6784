"""Contested payments under the MED: infraction reports, fraud markers, refunds and, in MED 2.0, recoveries by hops.

In the first MED the payer's institution reports the contested Pix alone. In MED 2.0 (Res. BCB 493/2025; Manual
Operacional do DICT 8.0, section 20) it opens a funds recovery: DICT tracks the money and reports each hop. The
receiving institutions have seven days for each report, and agree also where no money is left. Their refund of the
contested Pix is a return; refunds of later hops are Pix between institutions, which are not simulated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from msgspec import UNSET, Struct
from numpy.random import Generator

from infra.local.simulator import identity
from infra.local.simulator.chains import Chains, Tracked
from infra.local.simulator.clock import DAY_MS, HOUR_MS, MINUTE_MS
from infra.local.simulator.directory import MARKERS, Directory
from infra.local.simulator.due import Due
from infra.local.simulator.encode import amount, instant, line
from infra.local.simulator.messages import EdgeData, MarkerData, MedData, RecoveryData, RefundData
from infra.local.simulator.outcomes import OutcomeProcess
from infra.local.simulator.parties import key_of
from infra.local.simulator.world import World

ANALYSE_WITHIN_MS = 7 * DAY_MS
REFUND_WITHIN_MS = 72 * HOUR_MS
_FRAUD_TYPES = ("APPLICATION_FRAUD", "MULE_ACCOUNT", "SCAMMER_ACCOUNT", "OTHER")
"""In the order of MARKERS; UNKNOWN is not valid in reports of today (DICT's API, version 2)."""
_OF_ROOTS, _OF_HOPS = (0.09, 0.61, 0.24, 0.06), (0.03, 0.90, 0.04, 0.03)
_AGREED_FRAUD, _CANCELLED_FRAUD, _AGREED_HOP = 0.92, 0.03, 0.88
_AGREED_QUARREL, _CANCELLED_QUARREL = 0.04, 0.16
_MARKER_CANCELLED = 0.03
_TOTAL, _PARTIAL = 0.12, 0.40
"""Shares of agreed reports whose money is still there, in full or in part; assumptions."""
_NO_BALANCE = 0.8


class Case(NamedTuple):
    """A contested Pix."""

    root: Tracked
    link: int
    opened: int
    is_fraud: bool
    situation: str
    is_seized: bool
    """Whether all money went back already."""


class _Infraction(NamedTuple):
    """An infraction report to its end; `result` is AGREED, DISAGREED or None (cancelled)."""

    report_id: str
    tracked: Tracked
    result: str | None
    ended: int


class _Recovery(NamedTuple):
    """A funds recovery with its id, root and analysis."""

    id: str
    root_id: str


class Med:
    """Tells the states of contested payments; `counts` has the number of each result.

    Without `hop_reports`, all but the contested Pix stay untold, and nothing else changes.
    """

    def __init__(
        self, world: World, directory: Directory, chains: Chains, outcomes: OutcomeProcess, *, hop_reports: bool
    ) -> None:
        self._world, self._directory, self._chains, self._outcomes = world, directory, chains, outcomes
        self._hop_reports = hop_reports
        self._due = Due()
        self.counts: Counter[str] = Counter()

    def due(self, before: int | None) -> Iterator[tuple[int, bytes]]:
        """Remove and yield the messages before a moment (None: all of them), in time order."""
        return self._due.before(before)

    def report(self, rng: Generator, case: Case) -> None:
        """Open one infraction report, of the contested Pix."""
        agreed, cancelled = _chances(case)
        infraction = self._infraction(rng, case, case.root, case.opened, agreed, cancelled, None)
        self._refunds(rng, case, [infraction], infraction.ended)

    def recover(self, rng: Generator, case: Case) -> None:
        """Open a funds recovery with an infraction report for each hop."""
        recovery = _Recovery(identity.uuids(rng, 1)[0], case.root.end_to_end_id)
        tracked_at = case.opened + int(rng.uniform(1, 6) * MINUTE_MS)
        graph = self._chains.graph(case.root, case.link, tracked_at)
        notified = tracked_at + int(rng.uniform(1, 30) * MINUTE_MS)
        agreed, cancelled = _chances(case)
        first = self._infraction(rng, case, case.root, notified, agreed, cancelled, recovery)
        is_cancelled = first.result is None
        hop_chances = (0.0, 1.0) if is_cancelled else (_AGREED_HOP, 0.0)
        later = [self._infraction(rng, case, each, notified, *hop_chances, recovery) for each in graph[1:]]
        analysed = max(each.ended for each in (first, *later)) + int(rng.uniform(1, 60) * MINUTE_MS)
        done = analysed
        if not is_cancelled:
            done = self._refunds(rng, case, [first, *later], analysed + MINUTE_MS) + MINUTE_MS
        told = graph if self._hop_reports else graph[:1]
        states = [(case.opened, "CREATED", []), (tracked_at, "TRACKED", told), (notified, "AWAITING_ANALYSIS", told)]
        if is_cancelled:
            states.append((analysed, "CANCELLED", told))
        else:
            states += [(analysed, "ANALYSED", told), (analysed + MINUTE_MS, "REFUNDING", told)]
            states.append((done, "COMPLETED", told))
        for at, status, edges in states:
            self._tell(at, RecoveryData(recovery.id, recovery.root_id, instant(at), status, _edges(edges)))
        self.counts["recovery cancelled" if is_cancelled else "recovery completed"] += 1

    def _infraction(
        self,
        rng: Generator,
        case: Case,
        tracked: Tracked,
        opened: int,
        agreed_share: float,
        cancelled_share: float,
        recovery: _Recovery | None,
    ) -> _Infraction:
        """Draw the states of one infraction report: open, acknowledged, then closed or cancelled."""
        acknowledged = opened + MINUTE_MS + int(min(rng.exponential(14), 72) * HOUR_MS)
        ended = min(acknowledged + MINUTE_MS + int(rng.gamma(2.0, 1.4) * DAY_MS), opened + ANALYSE_WITHIN_MS)
        agreed, cancelled = rng.random() < agreed_share, rng.random() < cancelled_share
        kind = int(rng.choice(4, p=_OF_ROOTS if tracked.hop == 1 else _OF_HOPS))
        result, fraud_type = ("AGREED", _FRAUD_TYPES[kind]) if agreed else ("DISAGREED", None)
        final = ("CANCELLED", None, None) if cancelled else ("CLOSED", result, fraud_type)
        report_id = identity.uuids(rng, 1)[0]
        states = [(opened, "OPEN", None, None), (acknowledged, "ACKNOWLEDGED", None, None), (ended, *final)]
        told = self._is_told(tracked)
        for at, status, outcome, marked in states if told else ():
            self._tell(at, _med(report_id, tracked, at, status, outcome, case.situation, marked, opened, recovery))
        if told:
            kind_of_count = "MED" if tracked.hop == 1 else "MED hop"
            self.counts[f"{kind_of_count} {'cancelled' if cancelled else result.lower()}"] += 1
            marker = MARKERS[kind] if agreed and not cancelled else None
            self._directory.report(tracked.payee, opened, ended, marker, not agreed and not cancelled)
        infraction = _Infraction(report_id, tracked, None if cancelled else result, ended)
        if agreed and not cancelled:
            self._mark(rng, infraction, _FRAUD_TYPES[kind])
        return infraction

    def _mark(self, rng: Generator, infraction: _Infraction, fraud_type: str) -> None:
        """Mark the receiver, and the key by which the Pix found it; some markers are cancelled later."""
        tracked, marker_id = infraction.tracked, identity.uuids(rng, 1)[0]
        tax_id = self._world.tax_ids[int(self._world.owner[tracked.payee])]
        key = key_of(self._world, tracked.payee, tracked.at) if rng.random() < 0.7 else UNSET
        states = [(infraction.ended, "REGISTERED")]
        if rng.random() < _MARKER_CANCELLED:
            states.append((infraction.ended + int(rng.uniform(1, 40) * DAY_MS), "CANCELLED"))
        for at, status in states if self._is_told(tracked) else ():
            data = MarkerData(marker_id, tax_id, instant(at), fraud_type, status, infraction.report_id, key)
            self._tell(at, data)
            self.counts[f"marker {status.lower()}"] += 1

    def _refunds(self, rng: Generator, case: Case, infractions: list[_Infraction], start: int) -> int:
        """Refund the agreed reports, in total at most the contested amount; return the end."""
        left, end = 0 if case.is_seized else case.root.infraction_cents, start
        for infraction in infractions:
            if infraction.result != "AGREED":
                continue
            ended = start + MINUTE_MS + int(rng.uniform(0.02, 0.99) * (REFUND_WITHIN_MS - MINUTE_MS))
            cents = min(left, _recovered(rng, infraction.tracked.infraction_cents))
            left, end = left - cents, max(end, ended)
            self._refund(rng, infraction.tracked, start, ended, cents)
        return end

    def _refund(self, rng: Generator, tracked: Tracked, opened: int, ended: int, cents: int) -> None:
        refund_id, no_balance = identity.uuids(rng, 1)[0], rng.random() < _NO_BALANCE
        if tracked.hop == 1 and cents:
            self._outcomes.give_back(rng, tracked.end_to_end_id, tracked.payee, ended, cents, "FR01")
        if not self._is_told(tracked):
            return
        result = "TOTAL" if cents == tracked.infraction_cents else "PARTIAL" if cents else "REJECTED"
        closed = RefundData(refund_id, tracked.end_to_end_id, instant(ended), "CLOSED", result)
        if cents:
            closed.amount = amount(cents)
        else:
            closed.rejection = "NO_BALANCE" if no_balance else "ACCOUNT_CLOSED"
        self._tell(opened, RefundData(refund_id, tracked.end_to_end_id, instant(opened), "OPEN"))
        self._tell(ended, closed)
        self.counts[f"refund {result.lower()}"] += 1

    def _is_told(self, tracked: Tracked) -> bool:
        return tracked.hop == 1 or self._hop_reports

    def _tell(self, at: int, data: Struct) -> None:
        self._due.push(at, line("pix-feedback", data))


def _chances(case: Case) -> tuple[float, float]:
    """Return the shares of reports that end agreed, and cancelled."""
    return (_AGREED_FRAUD, _CANCELLED_FRAUD) if case.is_fraud else (_AGREED_QUARREL, _CANCELLED_QUARREL)


def _recovered(rng: Generator, cents: int) -> int:
    """Draw the part of an amount that is still in the account."""
    drawn, part = rng.random(), rng.uniform(0.05, 0.95)
    if drawn < _TOTAL:
        return cents
    return max(1, int(cents * part)) if drawn < _TOTAL + _PARTIAL else 0


def _edges(graph: list[Tracked]) -> list[EdgeData]:
    return [EdgeData(each.end_to_end_id, each.hop, amount(each.infraction_cents)) for each in graph]


def _med(
    report_id: str,
    tracked: Tracked,
    at: int,
    status: str,
    result: str | None,
    situation: str,
    fraud_type: str | None,
    opened: int,
    recovery: _Recovery | None,
) -> MedData:
    data = MedData(
        report_id,
        tracked.end_to_end_id,
        instant(at),
        status,
        result,
        situation,
        fraud_type,
        "REFUND_REQUEST",
        instant(opened),
    )
    if recovery is not None:
        data.funds_recovery_id, data.root_end_to_end_id = recovery
        data.hop, data.infraction_amount = tracked.hop, amount(tracked.infraction_cents)
    return data


def situation_of(rng: Generator, usual: str) -> str:
    """Draw the situation of a report, mostly the usual one of its kind of fraud."""
    return usual if rng.random() < 0.88 else str(np.array(["OTHER", "SCAM"])[rng.integers(2)])
