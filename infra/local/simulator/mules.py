"""Mule accounts: they receive stolen money and pass it on within minutes, over up to four more hops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from infra.local.simulator import amounts, fates, habits
from infra.local.simulator.arrays import Flags, Ints, by_weight
from infra.local.simulator.clock import DAY_MS, MINUTE_MS, Day
from infra.local.simulator.config import Kind, SimulationConfig
from infra.local.simulator.fates import Fate
from infra.local.simulator.payments import Payments, payments, together
from infra.local.simulator.world import World

_RECEIPTS_PER_MULE = 11
_COLLECTORS, _FRESH, _RUN_BY_RING, _ONE_OFF = 0.25, 0.30, 0.35, 0.03
_PASSES_ON, _HOPS_AGAIN, _HOPS, _SPLITS = 0.6, 0.45, 4, 0.2


@dataclass(frozen=True)
class MulePlan:
    """The working periods of the mule accounts."""

    start: Ints
    """First day of work, counted from the start of the period; shape (n,)."""
    end: Ints
    """Day after the last; shape (n,)."""
    fresh: int
    """Number of accounts opened for this work; they come first."""
    opened: Ints
    """Opening dates of the fresh accounts, in days since 1970; shape (fresh,)."""


def plan(rng: Generator, config: SimulationConfig) -> MulePlan:
    """Draw the working periods of enough mules for the frauds of the simulation."""
    frauds = config.transactions * config.fraud_rate
    count = max(6, round(frauds / _RECEIPTS_PER_MULE))
    start = rng.integers(-12, config.days, count)
    fresh = round(count * _FRESH)
    age = 1 + np.minimum(rng.exponential(50, fresh), 300).astype(np.int64)
    length = 2 + np.minimum(rng.exponential(11, count), 60).astype(np.int64)
    return MulePlan(start, start + length, fresh, config.start_ms // DAY_MS + start[:fresh] - age)


class Mules:
    """The mule accounts: the given fresh ones, and others recruited from ordinary customers."""

    def __init__(self, rng: Generator, world: World, mule_plan: MulePlan, fresh: Ints, rings: int) -> None:
        self._world, self._plan = world, mule_plan
        recruits = rng.integers(0, world.persons, len(mule_plan.start) - mule_plan.fresh)
        second = world.second[recruits]
        recruited = np.where((second >= 0) & (rng.random(len(recruits)) < 0.5), second, recruits)
        self.accounts = np.concatenate([fresh, recruited])
        count = len(self.accounts)
        self._weight = rng.pareto(3.0, count) + 0.4
        self._collects = rng.random(count) < _COLLECTORS
        self._links = 0
        ring = np.full(max(1, rings), world.devices.registered[0])
        ring_devices = world.devices.add(rng, ring - (rng.exponential(120, len(ring)) * DAY_MS).astype(np.int64))
        self._device = np.where(rng.random(count) < _RUN_BY_RING, rng.choice(ring_devices, count), -1)

    def receivers(self, rng: Generator, day: Day, today: int, count: int) -> Ints:
        """Draw the accounts that victims pay; a few belong to ordinary customers and are used once."""
        once = rng.integers(0, self._world.persons, count)
        once = np.where(self._world.opened[once] < today, once, self.accounts[0])
        drawn = self._draw(rng, day, today, count, ~self._collects)
        return np.where((rng.random(count) < _ONE_OFF) | (drawn < 0), once, drawn)

    def pass_on(self, rng: Generator, day: Day, today: int, received: Payments) -> Payments:
        """Draw the onward payments of received ones, hop after hop; some fall on the next day.

        The received ones are numbered, in place.
        """
        parts: list[Payments] = []
        chance = _PASSES_ON
        self._number(received)
        for _ in range(_HOPS):
            arrived = received.fate == Fate.SETTLED
            received = received.take(arrived & (rng.random(len(received)) < chance))
            received = self._hop(rng, day, today, received)
            parts.append(received)
            chance = _HOPS_AGAIN
        return together(parts)

    def everyday(self, rng: Generator, day: Day, today: int) -> Payments:
        """Draw small ordinary payments to and from accounts that work or soon will."""
        alive = (self._plan.start - 10 <= day.index) & (day.index < self._plan.end)
        mine = self.accounts[alive & (rng.random(len(alive)) < 0.45) & (self._world.opened[self.accounts] < today)]
        rows = light_use(rng, self._world, day, today, mine)
        rows.device[:] = self._devices(rng, rows)
        return rows

    def _number(self, rows: Payments) -> None:
        rows.link[:] = self._links + np.arange(len(rows))
        self._links += len(rows)

    def _hop(self, rng: Generator, day: Day, today: int, received: Payments) -> Payments:
        parts = np.where(rng.random(len(received)) < _SPLITS, 2, 1)
        received, parts = received.take(np.repeat(np.arange(len(received)), parts)), np.repeat(parts, parts)
        count = len(received)
        collectors = self._draw(rng, day, today, count, self._collects)
        others = self._draw(rng, day, today, count, ~self._collects)
        payee = np.where((collectors >= 0) & (rng.random(count) < 0.7), collectors, others)
        payee = np.where(payee < 0, self.accounts[0], payee)
        at = received.at + (rng.lognormal(np.log(9), 0.9, count) * MINUTE_MS).astype(np.int64) + 20_000
        cents = np.maximum(100, received.cents / parts * rng.uniform(0.45, 1.0, count))
        cents = np.where(rng.random(count) < 0.6, cents // 1_000 * 1_000 + 500, cents).astype(np.int64)
        form = habits.person_forms(rng, count)
        rows = payments(at, received.payee, payee, cents, form, Kind.MULE_TRANSFER, source=received.link)
        self._number(rows)
        rows.device[:] = self._devices(rng, rows)
        return fates.draw(rng, rows.take(habits.possible(self._world, rows, today)))

    def _devices(self, rng: Generator, rows: Payments) -> Ints:
        """Return the ring's device for accounts run by a ring, otherwise the holder's."""
        device = habits.own_devices(rng, self._world, rows.payer, rows.at)
        run_by = dict(zip(self.accounts.tolist(), self._device.tolist(), strict=True))
        ring = np.array([run_by.get(account, -1) for account in rows.payer.tolist()], dtype=np.int64)
        return np.where((ring >= 0) & (device >= 0), ring, device)

    def _draw(self, rng: Generator, day: Day, today: int, count: int, among: Flags) -> Ints:
        """Draw working accounts by weight; -1 if none works."""
        working = (self._plan.start <= day.index) & (day.index < self._plan.end) & among
        weight = self._weight * working * (self._world.opened[self.accounts] < today)
        if not weight.any():
            return np.full(count, -1)
        drawn: Ints = self.accounts[by_weight(rng, weight, count)]
        return drawn


def light_use(rng: Generator, world: World, day: Day, today: int, accounts: Ints) -> Payments:
    """Draw one ordinary payment to or from each account, with a contact of its holder or a shop.

    Payments with accounts that are not open yet are left out.
    """
    count = len(accounts)
    persons = np.minimum(world.owner[accounts], world.persons - 1)
    friend = world.contacts[persons, rng.integers(0, world.contacts.shape[1], count)]
    shop = world.favourites[persons, rng.integers(0, world.favourites.shape[1], count)]
    pays, buys = rng.random(count) < 0.6, rng.random(count) < 0.5
    payer = np.where(pays, accounts, friend)
    payee = np.where(pays, np.where(buys, shop, friend), accounts)
    sent = amounts.transferred(rng, world.spend[persons] + rng.normal(-0.2, 1.0, count))
    cents = np.where(pays & buys, habits.tickets(rng, world, persons, shop), sent)
    form = np.where(pays & buys, habits.shop_forms(rng, world, shop), habits.person_forms(rng, count))
    at = day.place(habits.waking_hours(rng, world, persons))
    rows = payments(at, payer, payee, cents, form, Kind.CONTACT)
    return habits.with_devices(rng, world, rows.take(habits.possible(world, rows, today)))
