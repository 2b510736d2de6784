"""Statistics of a payee in DICT, as of each morning: settlements, fraud markers, infraction reports, accounts."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from infra.local.simulator.arrays import Floats, Ints
from infra.local.simulator.clock import DAY_MS, Day, local_date
from infra.local.simulator.world import World

MARKERS = ("application_frauds", "mule_accounts", "scammer_accounts", "other_frauds", "unknown_frauds")
_MONTHS = {"m12": 12, "m60": 60}
_DAYS = 90
_NONE = dict.fromkeys(("d90", *_MONTHS), 0)
_OLD_MARKERS = 0.04


@dataclass(frozen=True)
class Windows:
    """The windows of DICT's statistics, as [first, end) in local days since 1970.

    d90 is today and the 89 days before; m12 and m60 are months before the current one, which they leave out
    (DICT OpenAPI 2.6.1, tag Antifraud; Manual Operacional do DICT 8.0, section 18).
    """

    bounds: dict[str, tuple[int, int]]

    @classmethod
    def of(cls, today: int) -> Windows:
        """Return the windows as of a local date.

        >>> day = int(np.datetime64("2026-11-20", "D").astype(int))
        >>> [str(np.datetime64(each, "D")) for each in Windows.of(day).bounds["m12"]]
        ['2025-11-01', '2026-11-01']
        """
        month = np.datetime64(today, "D").astype("datetime64[M]")
        end = _first_day(month)
        months = {name: (_first_day(month - count), end) for name, count in _MONTHS.items()}
        return cls({"d90": (today - _DAYS + 1, today + 1)} | months)

    def counts(self, dates: list[int]) -> dict[str, int]:
        """Return the number of dates in each window."""
        if not dates:
            return _NONE
        return {name: sum(first <= date < end for date in dates) for name, (first, end) in self.bounds.items()}


def _first_day(month: np.datetime64) -> int:
    return int(month.astype("datetime64[D]").astype(int))


class _Settlements:
    """Settlements by owner in each window; those of before the period are even over an account's tenure."""

    def __init__(self, opened: Ints, per_day: Floats, first: int) -> None:
        self._opened, self._per_day, self._first = opened, per_day, first
        self._recent = deque[tuple[int, NDArray[np.int32]]]()
        self._of_90_days = np.zeros(len(opened), dtype=np.int64)
        self._of_months: dict[int, Ints] = {}

    def add(self, owners: Ints, dates: Ints) -> None:
        """Add the settlements of a day, which may be two local dates."""
        for date in np.unique(dates).tolist():
            mine = owners[dates == date].astype(np.int32)
            counts = self._count(mine)
            month = _first_day(np.datetime64(date, "D").astype("datetime64[M]"))
            self._recent.append((date, mine))
            self._of_90_days += counts
            self._of_months[month] = self._of_months.get(month, 0) + counts

    def within(self, windows: Windows) -> dict[str, Ints]:
        """Return the settlements of every owner; shape (owners,) each."""
        while self._recent and self._recent[0][0] < windows.bounds["d90"][0]:
            self._of_90_days -= self._count(self._recent.popleft()[1])
        found = {"d90": self._of_90_days}
        for name in _MONTHS:
            first, end = windows.bounds[name]
            months = [counts for month, counts in self._of_months.items() if first <= month < end]
            found[name] = np.sum(months, axis=0, dtype=np.int64) if months else np.zeros_like(self._of_90_days)
        return {name: counts + self._before(*windows.bounds[name]) for name, counts in found.items()}

    def _before(self, first: int, end: int) -> Ints:
        """Return the settlements of a window from before the period."""
        days = np.maximum(0, min(end, self._first) - np.maximum(first, self._opened))
        settled: Ints = (self._per_day * days).astype(np.int64)
        return settled

    def _count(self, owners: NDArray[np.int32]) -> Ints:
        counts: Ints = np.bincount(owners, minlength=len(self._opened))
        return counts


class Directory:
    """Counts per owner as of the start of the day (the watermark), so that no message reveals its own future."""

    def __init__(self, rng: Generator, world: World, first: int, volume: float) -> None:
        self._world = world
        companies = world.popularity / world.popularity.sum() * 0.5 * volume
        people = 0.45 * volume * (0.5 + world.seller / world.seller.mean()) / 1.5 / world.persons
        per_day = np.concatenate([people, companies]) * rng.lognormal(-0.3, 0.7, world.owners)
        self._settlements = _Settlements(world.opened[: world.owners], per_day, first)
        self._marks: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
        self._rejected: defaultdict[int, list[int]] = defaultdict(list)
        self._open: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for owner in np.flatnonzero(rng.random(world.owners) < _OLD_MARKERS).tolist():
            age = int(rng.exponential(350) * DAY_MS)
            self._marks[owner].append((MARKERS[int(rng.integers(len(MARKERS)))], first * DAY_MS - age - DAY_MS))

    def settle(self, payees: Ints, dates: Ints) -> None:
        """Count the day's settlements of these accounts on their local dates; call once, at the end of a day."""
        self._settlements.add(self._world.owner[payees], dates)

    def report(self, payee: int, opened: int, ended: int, fraud_marker: str | None, rejected: bool) -> None:
        """Record a report against an account: open in [opened, ended), then a marker, a rejection or nothing."""
        owner = int(self._world.owner[payee])
        self._open[owner].append((opened, ended))
        if fraud_marker is not None:
            self._marks[owner].append((fraud_marker, ended))
        if rejected:
            self._rejected[owner].append(ended)

    def statistics(self, payees: Ints, day: Day, today: int) -> list[msgspec.Raw]:
        """Return the encoded `payee_statistics` of each account as of the start of the day."""
        owners, place = np.unique(self._world.owner[payees], return_inverse=True)
        windows = Windows.of(today)
        settled = {name: counts[owners] for name, counts in self._settlements.within(windows).items()}
        registered = np.bincount(self._world.owner[self._world.opened < today], minlength=self._world.owners)[owners]
        watermark = str(np.datetime64(day.start, "ms")) + "Z"
        blocks = [
            self._block(owner, day.start, watermark, windows, dict(zip(settled, counts, strict=True)), accounts)
            for owner, *counts, accounts in zip(
                owners.tolist(), *(c.tolist() for c in settled.values()), registered.tolist(), strict=True
            )
        ]
        return [blocks[i] for i in place.ravel().tolist()]

    def _block(
        self, owner: int, now: int, watermark: str, windows: Windows, settled: dict[str, int], accounts: int
    ) -> msgspec.Raw:
        marks = [(kind, _date(at)) for kind, at in self._marks.get(owner, ()) if at < now]
        rejected = [_date(at) for at in self._rejected.get(owner, ()) if at < now]
        block = {
            "watermark": watermark,
            "settlements": settled,
            "fraud_markers": {kind: windows.counts([date for k, date in marks if k == kind]) for kind in MARKERS},
            "infraction_reports": {
                "open": sum(start < now <= end for start, end in self._open.get(owner, ())),
                "rejected": windows.counts(rejected),
            },
            "registered_accounts": accounts,
        }
        return msgspec.Raw(msgspec.json.encode(block))


def _date(at: int) -> int:
    return int(local_date(np.array(at)))
