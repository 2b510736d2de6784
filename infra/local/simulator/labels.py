"""Feedback on the payments: infraction reports under the MED, and verdicts of analysts.

A victim reports late or never, and reports all payments of one fraud together. Customers also report legitimate
payments (a dispute over goods, a mistake). The payee's institution has seven days to agree or disagree, and errs in
both directions. Money passed on by a mule has no label: the MED covers the victim's payment only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from numpy.random import Generator

from infra.local.simulator import fates, identity
from infra.local.simulator.arrays import Flags, Floats, Ints
from infra.local.simulator.clock import DAY_MS, HOUR_MS, MINUTE_MS
from infra.local.simulator.config import FIRST_FRAUD, Kind
from infra.local.simulator.directory import MARKERS, Directory
from infra.local.simulator.due import Due
from infra.local.simulator.encode import instant, line
from infra.local.simulator.payments import Payments

REPORT_WITHIN_MS = 80 * DAY_MS
ANALYSE_WITHIN_MS = 7 * DAY_MS


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
_QUARRELS = _Victims(1.0, 60, "SCAM")
_QUARREL_KINDS = (Kind.SHOP, Kind.STRANGER, Kind.LARGE, Kind.BURST, Kind.CONTACT)
_QUARRELS_PER_FRAUD = 0.9
_AGREED_FRAUD, _CANCELLED_FRAUD = 0.92, 0.03
_AGREED_QUARREL, _CANCELLED_QUARREL = 0.04, 0.16
_REVIEWED_FRAUD, _REVIEWED_OTHER, _REVIEW_ERRS = 0.22, 0.0012, 0.03
_FRAUD_TYPES = ("APPLICATION_FRAUD", "MULE_ACCOUNT", "SCAMMER_ACCOUNT", "OTHER")
"""In the order of MARKERS; UNKNOWN is not valid in reports of today (DICT's API, version 2)."""


class MedData(Struct, tag_field="source", tag="MED"):
    """A state of an infraction report, in the form of the contract."""

    report_id: str
    end_to_end_id: str
    reported_at: str
    status: str
    analysis_result: str | None
    situation_type: str
    fraud_type: str | None


class AnalystData(Struct, tag_field="source", tag="ANALYST"):
    """An analyst's verdict, in the form of the contract."""

    report_id: str
    end_to_end_id: str
    reported_at: str
    verdict: str


class LabelProcess:
    """Turns payments into feedback that is due later; `counts` has the number of each outcome."""

    def __init__(self, directory: Directory, fraud_rate: float) -> None:
        self._directory = directory
        self._quarrel_rate = fraud_rate * _QUARRELS_PER_FRAUD
        self._due = Due()
        self.counts: Counter[str] = Counter()

    def observe(self, rng: Generator, rows: Payments, ids: list[str], returned: Flags) -> None:
        """Schedule the feedback on these payments, some of which their payees return."""
        fraud = np.flatnonzero((rows.kind >= FIRST_FRAUD) & fates.settled(rows))
        reported, delays = self._reported(rng, rows, fraud)
        for row, at in zip(reported.tolist(), delays.tolist(), strict=True):
            self._report(rng, rows, ids, row, at, _VICTIMS[Kind(int(rows.kind[row]))])
        self._quarrels(rng, rows, ids, returned)
        self._reviews(rng, rows, ids)

    def due(self, before: int | None) -> Iterator[tuple[int, bytes]]:
        """Remove and yield the feedback reported before a moment (None: all of it), in time order."""
        return self._due.before(before)

    def _reported(self, rng: Generator, rows: Payments, fraud: Ints) -> tuple[Ints, Ints]:
        """Draw the reported frauds and their moments: one decision and one delay for each episode."""
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
        return fraud[reported], np.minimum(at[place] + spread, rows.at[fraud] + REPORT_WITHIN_MS)[reported]

    def _quarrels(self, rng: Generator, rows: Payments, ids: list[str], returned: Flags) -> None:
        eligible = np.flatnonzero(np.isin(rows.kind, _QUARREL_KINDS) & fates.settled(rows) & ~returned)
        expected = self._quarrel_rate * len(rows)
        chosen = eligible[rng.random(len(eligible)) < expected / max(1, len(eligible))]
        delays = _delay(rng, np.full(len(chosen), _QUARRELS.median_hours))
        for row, delay in zip(chosen.tolist(), delays.tolist(), strict=True):
            self._report(rng, rows, ids, row, int(rows.at[row]) + delay, _QUARRELS)

    def _report(
        self, rng: Generator, rows: Payments, ids: list[str], row: int, opened: int, victims: _Victims
    ) -> None:
        """Draw the states of one infraction report: open, acknowledged, then closed or cancelled."""
        agreed_share, cancelled_share = (
            (_AGREED_QUARREL, _CANCELLED_QUARREL) if victims is _QUARRELS else (_AGREED_FRAUD, _CANCELLED_FRAUD)
        )
        acknowledged = opened + MINUTE_MS + int(min(rng.exponential(14), 72) * HOUR_MS)
        ended = min(acknowledged + MINUTE_MS + int(rng.gamma(2.0, 1.4) * DAY_MS), opened + ANALYSE_WITHIN_MS)
        agreed = rng.random() < agreed_share
        cancelled = rng.random() < cancelled_share
        situation = victims.situation if rng.random() < 0.88 else str(rng.choice(["OTHER", "SCAM"]))
        kind = int(rng.choice(4, p=[0.09, 0.61, 0.24, 0.06]))
        result, fraud_type = ("AGREED", _FRAUD_TYPES[kind]) if agreed else ("DISAGREED", None)
        final = ("CANCELLED", None, None) if cancelled else ("CLOSED", result, fraud_type)
        report_id = identity.uuids(rng, 1)[0]
        states = [(opened, "OPEN", None, None), (acknowledged, "ACKNOWLEDGED", None, None), (ended, *final)]
        for at, status, outcome, marked in states:
            data = MedData(report_id, ids[row], instant(at), status, outcome, situation, marked)
            self._due.push(at, line("pix-feedback", data))
        self.counts["MED cancelled" if cancelled else f"MED {result.lower()}"] += 1
        marker = MARKERS[kind] if agreed and not cancelled else None
        self._directory.report(int(rows.payee[row]), opened, ended, marker, not agreed and not cancelled)

    def _reviews(self, rng: Generator, rows: Payments, ids: list[str]) -> None:
        fraud = rows.kind >= FIRST_FRAUD
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
