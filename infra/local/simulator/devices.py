"""Phones and browsers, and their holders over time."""

import numpy as np
from numpy.random import Generator

from infra.local.simulator.arrays import Ints
from infra.local.simulator.clock import DAY_MS, Day
from infra.local.simulator.identity import HEX, strings, uuids

UNREGISTERED = -1
_CHANGES_PER_DAY = 1 / 350
_SECOND_DEVICE = 0.15
_USES_SECOND = 0.25


class Devices:
    """All devices, and the current phone of each person."""

    def __init__(self, rng: Generator, persons: int, start: int) -> None:
        self.ids: list[str] = []
        self.registered: list[int] = []
        ages = np.where(rng.random(persons) < 0.1, rng.uniform(0, 60, persons), rng.exponential(500, persons))
        self._phone = self.add(rng, start - (ages * DAY_MS).astype(np.int64) - 1)
        self._before = self._phone.copy()
        self._changed_at = np.full(persons, start - 1)
        self._other = np.full(persons, -1)
        second = np.flatnonzero(rng.random(persons) < _SECOND_DEVICE)
        ages = (rng.exponential(300, len(second)) * DAY_MS).astype(np.int64) + 1
        self._other[second] = self.add(rng, start - ages)

    def add(self, rng: Generator, registered: Ints) -> Ints:
        """Add devices registered at the given moments (or UNREGISTERED); return their rows.

        The form of the identifier depends on the vendor, not on the holder, so that it does not reveal fraud.
        """
        count, first = len(registered), len(self.ids)
        as_uuid = (rng.random(count) < 0.6).tolist()
        pairs = zip(as_uuid, uuids(rng, count), strings(rng, HEX, count, 16), strict=True)
        self.ids.extend(uuid if flag else short for flag, uuid, short in pairs)
        self.registered.extend(registered.tolist())
        return np.arange(first, first + count)

    def change_some(self, rng: Generator, day: Day) -> tuple[Ints, Ints]:
        """Let a few persons replace their phone during the day; return the persons and moments."""
        persons = np.flatnonzero(rng.random(len(self._phone)) < _CHANGES_PER_DAY)
        at = day.place(rng.normal(15, 4, len(persons)))
        self._before[persons] = self._phone[persons]
        self._phone[persons] = self.add(rng, at)
        self._changed_at[persons] = at
        return persons, at

    def used_by(self, rng: Generator, persons: Ints, at: Ints) -> Ints:
        """Draw the device of each payment; shape (n,)."""
        phone = np.where(at >= self._changed_at[persons], self._phone[persons], self._before[persons])
        other = self._other[persons]
        return np.where((other >= 0) & (rng.random(len(persons)) < _USES_SECOND), other, phone)
