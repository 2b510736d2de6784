"""Feedback on the payments: customers who contest them, reports under the MED, and verdicts of analysts.

A victim reports late or never, and reports all payments of one fraud together. Customers also report legitimate
payments (a dispute over goods, a mistake). The payee's institution has seven days to agree or disagree, and errs in
both directions. Half of the reports begin in the customer's app, before DICT knows of them.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge

import numpy as np
from numpy.random import Generator

from infra.local.simulator import fates, identity
from infra.local.simulator.arrays import Flags, Floats, Ints
from infra.local.simulator.chains import Chains, Tracked
from infra.local.simulator.clock import HOUR_MS, MINUTE_MS
from infra.local.simulator.config import FIRST_FRAUD, Kind, SimulationConfig
from infra.local.simulator.directory import Directory
from infra.local.simulator.due import Due
from infra.local.simulator.encode import instant, line
from infra.local.simulator.fates import Fate
from infra.local.simulator.med import Case, Med, situation_of
from infra.local.simulator.messages import AnalystData, CustomerData
from infra.local.simulator.outcomes import OutcomeProcess
from infra.local.simulator.payments import Payments
from infra.local.simulator.world import World

REPORT_WITHIN_MS = 80 * 24 * HOUR_MS


@dataclass(frozen=True)
class _Victims:
    """The reporting behaviour of the victims of one kind of fraud."""

    report: float
    """Share that report."""
    median_hours: float
    """Median delay of a report."""
    situation: str
    """Usual `situation_type` of a report."""


_VICTIMS = {
    Kind.TAKEOVER: _Victims(0.92, 10, "ACCOUNT_TAKEOVER"),
    Kind.SCAM: _Victims(0.86, 30, "SCAM"),
    Kind.COERCION: _Victims(0.90, 12, "COERCION"),
    Kind.FALSE_MERCHANT: _Victims(0.80, 90, "SCAM"),
    Kind.APPLICATION: _Victims(0.85, 150, "FRAUDULENT_ACCESS"),
}


def usual_situation(kind: Kind) -> str:
    """Return the usual `situation_type` of a kind of fraud; a mule transfer has no victim to tell one."""
    return _VICTIMS[kind].situation if kind in _VICTIMS else "OTHER"


_QUARRELS = _Victims(1.0, 60, "SCAM")
_QUARREL_KINDS = (Kind.SHOP, Kind.STRANGER, Kind.LARGE, Kind.BURST, Kind.CONTACT)
_QUARRELS_PER_FRAUD = 0.9
_CONTESTED, _WITHDRAWN = 0.5, 0.15
"""Shares of reports that begin in the app, and of quarrels there that are withdrawn before a report; assumptions."""
_REVIEWED_FRAUD, _REVIEWED_OTHER, _REVIEW_ERRS = 0.22, 0.0012, 0.03


class LabelProcess:
    """Turns payments into feedback that is due later; `counts` has the number of each result."""

    def __init__(
        self, world: World, directory: Directory, outcomes: OutcomeProcess, config: SimulationConfig
    ) -> None:
        self._quarrel_rate = config.fraud_rate * _QUARRELS_PER_FRAUD
        self._med2 = config.med2
        # Its own generator: other reports about the same payments must not change the payments that follow.
        self._rng = np.random.default_rng([config.seed, 0, 1])
        self._chains = Chains()
        self._med = Med(world, directory, self._chains, outcomes, hop_reports=config.hop_reports)
        self._due = Due()
        self._cases: list[tuple[int, int, Case]] = []
        self._numbers = 0
        self.counts: Counter[str] = self._med.counts

    def observe(self, rows: Payments, ids: list[str], returned: Flags) -> None:
        """Schedule the feedback on these payments, some of which their payees return."""
        self._chains.add(rows, ids)
        fraud = np.flatnonzero((rows.kind >= FIRST_FRAUD) & fates.settled(rows))
        reported, moments = self._reported(rows, fraud)
        for row, at in zip(reported.tolist(), moments.tolist(), strict=True):
            self._contest(rows, ids, row, at, _VICTIMS[Kind(int(rows.kind[row]))])
        self._quarrels(rows, ids, returned)
        self._reviews(rows, ids)

    def open(self, before: int | None) -> None:
        """Open the reports before a moment (None: all of them), with the money's way as known by then."""
        while self._cases and (before is None or self._cases[0][0] < before):
            case = heapq.heappop(self._cases)[2]
            opened = self._told_by_customer(case)
            if opened is not None:
                open_ = self._med.recover if self._rng.random() < self._med2 else self._med.report
                open_(self._rng, case._replace(opened=opened))

    def due(self, before: int | None) -> Iterator[tuple[int, bytes]]:
        """Remove and yield the feedback reported before a moment (None: all of it), in time order."""
        return merge(self._due.before(before), self._med.due(before), key=lambda pair: pair[0])

    def _told_by_customer(self, case: Case) -> int | None:
        """Let some customers contest in the app; return the time of the report, None if it is withdrawn."""
        contested, withdrawn, minutes = self._rng.random() < _CONTESTED, self._rng.random(), self._rng.exponential(40)
        if not contested:
            return case.opened
        report_id, later = identity.uuids(self._rng, 1)[0], case.opened + int((1 + minutes) * MINUTE_MS)
        self._say(report_id, case, case.opened, "CONTESTED")
        if case.is_fraud or withdrawn >= _WITHDRAWN:
            return max(case.opened + 1, min(later, case.root.at + REPORT_WITHIN_MS))
        self._say(report_id, case, later, "WITHDRAWN")
        return None

    def _say(self, report_id: str, case: Case, at: int, status: str) -> None:
        data = CustomerData(report_id, case.root.end_to_end_id, instant(at), status)
        self._due.push(at, line("pix-feedback", data))
        self.counts[f"customer {status.lower()}"] += 1

    def _reported(self, rows: Payments, fraud: Ints) -> tuple[Ints, Ints]:
        """Draw the reported frauds and their moments: one decision and one delay for each episode."""
        rng = self._rng
        episodes, place = np.unique(rows.episode[fraud], return_inverse=True)
        kind = np.zeros(len(episodes), dtype=np.int64)
        kind[place] = rows.kind[fraud]
        last = np.zeros(len(episodes), dtype=np.int64)
        np.maximum.at(last, place, rows.at[fraud])
        victims = [_VICTIMS[Kind(k)] for k in kind.tolist()]
        reports = rng.random(len(episodes)) < np.array([v.report for v in victims])
        at = last + _delay(rng, np.array([v.median_hours for v in victims]))
        reported = reports[place] & (rng.random(len(fraud)) < 0.95)
        self.counts["fraud never reported"] += int((~reported).sum())
        reported &= at[place] - rows.at[fraud] <= REPORT_WITHIN_MS
        spread = (rng.uniform(0, 20, len(fraud)) * MINUTE_MS).astype(np.int64)
        return fraud[reported], np.minimum(at[place] + spread, rows.at[fraud] + REPORT_WITHIN_MS - 1)[reported]

    def _quarrels(self, rows: Payments, ids: list[str], returned: Flags) -> None:
        eligible = np.flatnonzero(np.isin(rows.kind, _QUARREL_KINDS) & fates.settled(rows) & ~returned)
        expected = self._quarrel_rate * len(rows)
        chosen = eligible[self._rng.random(len(eligible)) < expected / max(1, len(eligible))]
        delays = _delay(self._rng, np.full(len(chosen), _QUARRELS.median_hours))
        for row, delay in zip(chosen.tolist(), delays.tolist(), strict=True):
            self._contest(rows, ids, row, int(rows.at[row]) + delay, _QUARRELS)

    def _contest(self, rows: Payments, ids: list[str], row: int, opened: int, victims: _Victims) -> None:
        root = Tracked(ids[row], int(rows.payee[row]), int(rows.at[row]), int(rows.cents[row]), 1)
        situation = situation_of(self._rng, victims.situation)
        is_seized = bool(rows.fate[row] == Fate.SEIZED)
        case = Case(root, int(rows.link[row]), opened, victims is not _QUARRELS, situation, is_seized)
        self._numbers += 1
        heapq.heappush(self._cases, (opened, self._numbers, case))

    def _reviews(self, rows: Payments, ids: list[str]) -> None:
        rng, fraud = self._rng, rows.kind >= FIRST_FRAUD
        chosen = np.flatnonzero(rng.random(len(rows)) < np.where(fraud, _REVIEWED_FRAUD, _REVIEWED_OTHER))
        at = rows.at[chosen] + (rng.lognormal(np.log(8), 1.2, len(chosen)).clip(0.1, 240) * HOUR_MS).astype(np.int64)
        judged_fraud = fraud[chosen] ^ (rng.random(len(chosen)) < _REVIEW_ERRS)
        for row, moment, is_fraud in zip(chosen.tolist(), at.tolist(), judged_fraud.tolist(), strict=True):
            verdict = "FRAUD" if is_fraud else "LEGITIMATE"
            data = AnalystData(identity.uuids(rng, 1)[0], ids[row], instant(moment), verdict)
            self._due.push(moment, line("pix-feedback", data))
            self.counts[f"analyst {verdict.lower()}"] += 1


def _delay(rng: Generator, median_hours: Floats) -> Ints:
    """Draw delays in milliseconds: most around the median, a fifth of them weeks later, none above 80 days."""
    count = len(median_hours)
    slow = rng.random(count) < 0.2
    hours = np.where(slow, rng.lognormal(np.log(15 * 24), 0.8, count), median_hours * rng.lognormal(0, 1.1, count))
    return (np.clip(hours, 0.05, 24 * 79.9) * HOUR_MS).astype(np.int64)
