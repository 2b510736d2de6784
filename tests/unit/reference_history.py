"""History in plain Python, slow and obvious: the reference of every faster computation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from shared.contract.event import Event
from shared.features.facts import VerdictCount
from shared.features.layout import HALF_LIVES, HOP, LAYOUTS, ROLES

Weights = Mapping[str, float]


class Counters:
    """One record: sums by (measure, span) that stand at `at`, and times and amounts that only grow."""

    def __init__(self) -> None:
        self.at = -math.inf
        self.sums: dict[tuple[str, str], float] = defaultdict(float)
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.largest: dict[str, float] = {}

    def value(self, measure: str, span: str, now: float) -> float:
        reached = max(self.at, now)
        return self.sums[measure, span] * 2 ** (-(reached - self.at) / HALF_LIVES[span]) if self.sums else 0.0

    def add(self, now: float, weights: Weights | Mapping[tuple[str, str], float]) -> None:
        reached = max(self.at, now)
        for measure, span in list(self.sums):
            self.sums[measure, span] = self.value(measure, span, reached)
        for name, weight in weights.items():
            for span in [name[1]] if isinstance(name, tuple) else HALF_LIVES:
                measure = name[0] if isinstance(name, tuple) else name
                self.sums[measure, span] += weight * 2 ** (-(reached - now) / HALF_LIVES[span])
        self.at = reached

    def see(self, name: str, now: float) -> None:
        self.first[name] = min(now, self.first.get(name, math.inf))
        self.last[name] = max(now, self.last.get(name, -math.inf))


class ReferenceHistory:
    """Accounts by id, contacts by the ids of payer and payee (or device and payer), devices by id."""

    def __init__(self) -> None:
        self.records: dict[str, dict[Any, Counters]] = {layout.kind: {} for layout in LAYOUTS}

    def observe(self, event: Event) -> list[float]:
        now, amount = event.initiated_at * 1e-6, event.amount * 0.01
        new_payee = (event.payer_id, event.payee_id) not in self.records["contact"]
        new_device = event.device_id is not None and (event.device_id, event.payer_id) not in self.records["contact"]
        found = {
            "payer": self._record("account", event.payer_id),
            "payee": self._record("account", event.payee_id),
            "pair": self._record("contact", (event.payer_id, event.payee_id)),
        }
        if event.device_id is not None:
            found["handset"] = self._record("contact", (event.device_id, event.payer_id))
            found["device"] = self._record("device", event.device_id)
        reads = [value for role, layout in ROLES for value in self._reads(found.get(role), layout, now)]
        self._count(found, now, amount, new_payee, new_device)
        return reads

    def report(self, report: VerdictCount) -> None:
        now, fraud, cleared = report.reported_at * 1e-6, report.sign * report.fraud, report.sign * (not report.fraud)
        self._record("account", report.payer_id).add(now, {"frauds_sent": fraud, "cleared_sent": cleared})
        self._record("account", report.payee_id).add(
            now, {"frauds_received": fraud, "cleared_received": cleared, "taint": fraud}
        )
        if report.device_id is not None:
            self._record("device", report.device_id).add(now, {"frauds": fraud, "cleared": cleared})

    def named(self, kind: str, key: Any) -> dict[str, float]:
        """Return a record's counters as they stand, by the names of the layout."""
        layout = next(layout for layout in LAYOUTS if layout.kind == kind)
        record = self.records[kind][key]
        return {f"{m.name}_{span}": record.sums[m.name, span] for m in layout.measures for span in m.spans}

    def _count(
        self, found: dict[str, Counters], now: float, amount: float, new_payee: bool, new_device: bool
    ) -> None:
        payer, payee = found["payer"], found["payee"]
        passed = {("passed", s): min(amount, payer.value("received_amount", s, now)) for s in ("1h", "1d", "7d")}
        taint = {("taint", s): HOP * min(max(payer.value("taint", s, now), 0), 1) for s in ("7d", "30d")}
        payer.add(now, _sent(now, amount, new_payee))
        payer.add(now, passed)
        payee.add(now, _received(amount, new_payee))
        payee.add(now, taint)
        payer.see("sent", now)
        payee.see("received", now)
        payer.largest["sent"] = max(amount, payer.largest.get("sent", -math.inf))
        if new_payee:
            payer.see("new_payee", now)
        for role in ("pair", "handset"):
            if role in found:
                found[role].add(now, {"count": 1, "amount": amount})
                found[role].see("", now)
        if "device" in found:
            found["device"].add(now, {"count": 1, "amount": amount, "payers": float(new_device)})
            found["device"].see("", now)

    def _record(self, kind: str, key: Any) -> Counters:
        return self.records[kind].setdefault(key, Counters())

    @staticmethod
    def _reads(record: Counters | None, layout: Any, now: float) -> list[float]:
        if record is None:
            return [math.nan] * layout.width
        reached = max(record.at, now)
        marks = []
        for mark in layout.marks:
            order, _, what = mark.name.partition("_")
            value = {
                "touched": record.at,
                "first": record.first.get(what, math.inf),
                "last": record.last.get(what, -math.inf),
                "largest": record.largest.get(what, math.nan),
            }[order]
            marks.append(value if order == "largest" else math.nan if math.isinf(value) else reached - value)
        return marks + [record.value(m.name, span, now) for m in layout.measures for span in m.spans]


def _sent(now: float, amount: float, new: bool) -> Weights:
    day = 2 * math.pi * ((now - 3 * 3600) % 86400) / 86400
    week = 2 * math.pi * ((now - 3 * 3600 - 4 * 86400) % (7 * 86400)) / (7 * 86400)
    return {
        "sent_count": 1,
        "sent_amount": amount,
        "sent_square": amount**2,
        "sent_new": float(new),
        "sent_log": math.log1p(amount),
        "sent_log_square": math.log1p(amount) ** 2,
        "sent_hour_cos": math.cos(day),
        "sent_hour_sin": math.sin(day),
        "sent_week_cos": math.cos(week),
        "sent_week_sin": math.sin(week),
    }


def _received(amount: float, new: bool) -> Weights:
    return {
        "received_count": 1,
        "received_amount": amount,
        "received_square": amount**2,
        "received_new": float(new),
    }
