"""History in plain Python, slow and obvious: the reference of every faster computation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.contract.event import Event
from shared.features.facts import VerdictCount
from shared.features.layout import HALF_LIVES, HOP, LAYOUTS, ROLES, Layout

Weights = Mapping[str, float]
DAY = 86_400


def left(span: str, since: float, until: float) -> float:
    """Return the share of a count at `since` that is left at `until`."""
    if math.isinf(since):
        return 0.0
    if span in HALF_LIVES:
        return 2 ** (-(until - since) / HALF_LIVES[span])
    return 1.0 if span == "ever" else float(period(span, since) == period(span, until))


def period(span: str, at: float) -> int:
    """Return the number of the local day, or of the night, which changes at noon."""
    return math.floor((at - {"day": 3, "night": 15}[span] * 3600) / DAY)


def single(value: float) -> float:
    """Return a value as it is stored in four bytes."""
    return float(np.float32(value))


class Counters:
    """One record: sums by (measure, span) that stand at `at`, and times and amounts that only grow."""

    def __init__(self, lasts: float = math.inf) -> None:
        self.lasts = lasts
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.at = -math.inf
        self.sums: dict[tuple[str, str], float] = defaultdict(float)
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.largest: dict[str, float] = {}

    def value(self, measure: str, span: str, now: float) -> float:
        """Return a sum as it is read at `now`."""
        reached = max(self.at, now)
        if span in ("day", "night") and period(span, reached) != period(span, now):
            return math.nan
        return self.sums[measure, span] * left(span, self.at, reached)

    def forgotten(self, now: float) -> bool:
        """Return whether nothing touched the record for as long as it lasts."""
        return now - self.at > self.lasts

    def add(self, now: float, layout: Layout, weights: Weights) -> None:
        """Add the weight of each measure, or of each `measure_span`."""
        if self.forgotten(now):
            self.clear()
        if self.at - now > self.lasts:
            return
        reached = max(self.at, now)
        for measure in layout.measures:
            for span in measure.spans:
                weight = weights.get(measure.name, weights.get(f"{measure.name}_{span}", 0.0))
                stood = self.sums[measure.name, span] * left(span, self.at, reached)
                self.sums[measure.name, span] = stood + weight * left(span, now, reached)
        self.at = reached

    def see(self, name: str, now: float) -> None:
        """Note that something happened."""
        if self.at - now > self.lasts:
            return
        self.first[name] = min(now, self.first.get(name, math.inf))
        self.last[name] = max(now, self.last.get(name, -math.inf))

    def round(self) -> None:
        """Round to the stored form, in which sums of limits stay exact."""
        self.sums.update({key: single(value) for key, value in self.sums.items() if key[1] not in ("day", "night")})
        self.largest = {name: single(value) for name, value in self.largest.items()}


class ReferenceHistory:
    """Records by kind: accounts, devices and persons by id, contacts by the ids of both."""

    def __init__(self) -> None:
        self.records: dict[str, dict[Any, Counters]] = {layout.kind: {} for layout in LAYOUTS}
        self._touched: list[Counters] = []

    def ask(self, event: Event) -> list[float]:
        """Return the reads before a Pix, then count that it was asked for."""
        now, keys = float(event.initiated_at // 1_000_000), _keys(event)
        reads: list[float] = []
        for role in ROLES:
            known = self.records[role.layout.kind].get(keys[role.name], Counters()) if keys[role.name] else None
            reads += _reads(known, role.layout, now)
        if event.end_to_end_id[0] != "D":
            weights = {"asked": 1.0, "limit": event.amount, "unregistered": event.amount}
            self._add("payer", event, now, _sent_only(weights, event))
            self._add("payee", event, now, {"asked_in": 1.0})
            self._add("device", event, now, weights)
            self._add("customer", event, now, weights)
        else:
            for name in ("payer", "payee", "device", "customer"):
                self._add(name, event, now, {})
        self._round()
        return reads

    def settle(self, event: Event, reads: list[float]) -> None:
        """Count that a Pix settled when it was asked for, given the reads of its ask."""
        known = dict(zip(_READ_NAMES, np.array(reads, dtype=np.float32).astype(float).tolist(), strict=True))
        now, amount = float(event.initiated_at // 1_000_000), event.amount * 0.01
        new_payee = known["pair_count_30d"] <= 1e-3
        new_device = known["handset_count_30d"] <= 1e-3
        passed = {f"passed_{s}": _passed(amount, known[f"payer_received_amount_{s}"]) for s in ("1h", "1d", "7d")}
        taint = {f"taint_{s}": HOP * min(max(known[f"payer_taint_{s}"], 0), 1) for s in ("7d", "30d")}
        self._add("payer", event, now, _sent(now, amount, new_payee) | passed, "sent")
        self._add("payee", event, now, _received(amount, new_payee) | taint, "received")
        if event.payer_id != "":
            payer = self.records["account"][event.payer_id]
            payer.largest["sent"] = max(amount, payer.largest.get("sent", -math.inf))
            if new_payee:
                payer.see("new_payee", now)
        for role in ("pair", "handset"):
            self._add(role, event, now, {"count": 1, "amount": amount}, "")
        self._add("device", event, now, {"count": 1, "amount": amount, "payers": float(new_device)}, "")
        self._round()

    def report(self, report: VerdictCount) -> None:
        """Count a verdict."""
        now = float(report.reported_at // 1_000_000)
        fraud, cleared = report.sign * report.fraud, report.sign * (not report.fraud)
        later = fraud * (report.hop > 1)
        account, device = LAYOUTS[0], LAYOUTS[2]
        self._record("account", report.payer_id).add(
            now, account, {"frauds_sent": fraud - later, "cleared_sent": cleared}
        )
        received = {"frauds_received": fraud, "cleared_received": cleared, "taint": fraud, "hops": later}
        self._record("account", report.payee_id).add(now, account, received | {"hop_depth": later * report.hop})
        if report.device_id is not None:
            self._record("device", report.device_id).add(now, device, {"frauds": fraud, "cleared": cleared})
        self._round()

    def named(self, kind: str, key: Any) -> dict[str, float]:
        """Return a record's counters as they stand, by the names of the layout."""
        layout = next(layout for layout in LAYOUTS if layout.kind == kind)
        record = self.records[kind][key]
        return {f"{m.name}_{span}": record.sums[m.name, span] for m in layout.measures for span in m.spans}

    def _add(self, role: str, event: Event, now: float, weights: Weights, seen: str | None = None) -> None:
        layout = next(each.layout for each in ROLES if each.name == role)
        if key := _keys(event)[role]:
            record = self._record(layout.kind, key)
            record.add(now, layout, weights)
            if seen is not None:
                record.see(seen, now)

    def _record(self, kind: str, key: Any) -> Counters:
        lasts = 90.0 * DAY if kind == "contact" else math.inf
        found = self.records[kind].setdefault(key, Counters(lasts))
        self._touched.append(found)
        return found

    def _round(self) -> None:
        """Round the records of a fact, once it counted in all roles."""
        for record in self._touched:
            record.round()
        self._touched.clear()


_READ_NAMES = [f"{role.name}_{name}" for role in ROLES for name in role.layout.names]


def _keys(event: Event) -> dict[str, Any]:
    device = event.device_id
    return {
        "payer": event.payer_id,
        "payee": event.payee_id,
        "pair": (event.payer_id, event.payee_id),
        "handset": device and (device, event.payer_id),
        "device": device,
        "customer": event.payer_person_id if event.device_registered is False else None,
        "owner": event.payee_person_id,
        "key": event.payee_key_id,
    }


def _passed(amount: float, came_in: float) -> float:
    """Return the part of an amount that came in, by the feature that is stored with a Pix: a ratio in float32."""
    if came_in <= 0.01:
        return 0.0
    return max(min(amount, amount / float(np.float32(amount / came_in))), 0.0)


def _sent_only(weights: Weights, event: Event) -> Weights:
    hour = (event.initiated_at * 1e-6 - 3 * 3600) % DAY / 3600
    same = event.payee_person_id is not None and event.payer_person_id == event.payee_person_id
    persons = event.payer_kind == "PERSON" and event.payee_kind in ("PERSON", None) and not same
    start = 20.0 if event.night_from is None else event.night_from / 60
    night = (hour >= start or hour < 6) and persons
    return {
        "asked_out": 1.0,
        "asked_out_amount": event.amount * 0.01,
        "limit": weights["limit"],
        "limit_night": event.amount * float(night),
    }


def _reads(record: Counters | None, layout: Layout, now: float) -> list[float]:
    if record is None:
        return [math.nan] * layout.width
    if record.forgotten(now):
        return _reads_of_forgotten(record, layout, now)
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


def _reads_of_forgotten(record: Counters, layout: Layout, now: float) -> list[float]:
    if record.sums["count", "30d"] <= 1e-3:
        return _reads(Counters(), layout, now)
    return [math.nan, math.nan, 0.0, 0.125, math.nan, math.nan]


def _sent(now: float, amount: float, new: bool) -> dict[str, float]:
    day = 2 * math.pi * ((now - 3 * 3600) % DAY) / DAY
    week = 2 * math.pi * ((now - 3 * 3600 - 4 * DAY) % (7 * DAY)) / (7 * DAY)
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


def _received(amount: float, new: bool) -> dict[str, float]:
    return {
        "received_count": 1,
        "received_amount": amount,
        "received_square": amount**2,
        "received_new": float(new),
    }
