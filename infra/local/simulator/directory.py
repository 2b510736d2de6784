"""Statistics of a payee in DICT, as of each morning: settlements, fraud markers, infraction reports, accounts."""

from __future__ import annotations

from collections import defaultdict, deque

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from infra.local.simulator.arrays import Ints
from infra.local.simulator.clock import DAY_MS, Day
from infra.local.simulator.world import World

MARKERS = ("application_frauds", "mule_accounts", "scammer_accounts", "other_frauds", "unknown_frauds")
_WINDOWS = {"d90": 90, "m12": 365, "m60": 1825}
_NONE = dict.fromkeys(_WINDOWS, 0)
_OLD_MARKERS = 0.04


class Directory:
    """Counts per owner as of the start of the day (the watermark), so that no message reveals its own future."""

    def __init__(self, rng: Generator, world: World, first: int, volume: float) -> None:
        self._world, self._first = world, first
        self._recent = {name: deque[NDArray[np.int32]]() for name in _WINDOWS}
        self._settled = {name: np.zeros(world.owners, dtype=np.int64) for name in _WINDOWS}
        companies = world.popularity / world.popularity.sum() * 0.5 * volume
        people = 0.45 * volume * (0.5 + world.seller / world.seller.mean()) / 1.5 / world.persons
        self._before = np.concatenate([people, companies]) * rng.lognormal(-0.3, 0.7, world.owners)
        self._marks: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
        self._rejected: defaultdict[int, list[int]] = defaultdict(list)
        self._open: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for owner in np.flatnonzero(rng.random(world.owners) < _OLD_MARKERS).tolist():
            age = int(rng.exponential(350) * DAY_MS)
            self._marks[owner].append((MARKERS[int(rng.integers(len(MARKERS)))], first * DAY_MS - age - DAY_MS))

    def settle(self, payees: Ints) -> None:
        """Count the day's settlements of these accounts; call once, at the end of a day."""
        owners = self._world.owner[payees].astype(np.int32)
        for name, days in _WINDOWS.items():
            self._recent[name].append(owners)
            self._settled[name] += np.bincount(owners, minlength=self._world.owners)
            if len(self._recent[name]) > days:
                self._settled[name] -= np.bincount(self._recent[name].popleft(), minlength=self._world.owners)

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
        settled = {
            name: (self._settled[name] + self._prior(days, day.index))[owners] for name, days in _WINDOWS.items()
        }
        registered = np.bincount(self._world.owner[self._world.opened < today], minlength=self._world.owners)[owners]
        watermark = str(np.datetime64(day.start, "ms")) + "Z"
        blocks = [
            self._block(owner, day.start, watermark, dict(zip(_WINDOWS, counts, strict=True)), accounts)
            for owner, *counts, accounts in zip(
                owners.tolist(), *(c.tolist() for c in settled.values()), registered.tolist(), strict=True
            )
        ]
        return [blocks[i] for i in place.ravel().tolist()]

    def _prior(self, days: int, elapsed: int) -> Ints:
        """Return the settlements from before the period that are still within the window."""
        tenure = np.maximum(0, self._first - self._world.opened[: self._world.owners])
        return (self._before * np.minimum(max(0, days - elapsed), tenure)).astype(np.int64)

    def _block(self, owner: int, now: int, watermark: str, settled: dict[str, int], accounts: int) -> msgspec.Raw:
        marks = [(kind, at) for kind, at in self._marks.get(owner, ()) if at < now]
        block = {
            "watermark": watermark,
            "settlements": settled,
            "fraud_markers": {kind: _windows([at for k, at in marks if k == kind], now) for kind in MARKERS},
            "infraction_reports": {
                "open": sum(start < now <= end for start, end in self._open.get(owner, ())),
                "rejected": _windows([at for at in self._rejected.get(owner, ()) if at < now], now),
            },
            "registered_accounts": accounts,
        }
        return msgspec.Raw(msgspec.json.encode(block))


def _windows(moments: list[int], now: int) -> dict[str, int]:
    if not moments:
        return _NONE
    return {name: sum(now - at < days * DAY_MS for at in moments) for name, days in _WINDOWS.items()}
