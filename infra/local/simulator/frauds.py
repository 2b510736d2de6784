"""The frauds: start, victims, amounts and receivers of each kind.

Every figure overlaps with legitimate behaviour: takeovers also happen by day and from the victim's own phone (remote
access), scams also ask for small sums, and false shops charge the same prices as real ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from infra.local.simulator import amounts, habits
from infra.local.simulator.arrays import Flags, Ints, by_weight
from infra.local.simulator.clock import DAY_MS, HOUR_MS, MINUTE_MS, Day
from infra.local.simulator.config import Form, Kind
from infra.local.simulator.devices import UNREGISTERED
from infra.local.simulator.mules import Mules, light_use
from infra.local.simulator.payments import NO_DEVICE, NOTHING, Payments, payments, together
from infra.local.simulator.world import World

_EPISODES = {
    Kind.TAKEOVER: 0.25,
    Kind.SCAM: 0.37,
    Kind.COERCION: 0.08,
    Kind.FALSE_MERCHANT: 0.25,
    Kind.APPLICATION: 0.05,
}
_MEAN_SIZE = 2.1
_UNREGISTERED_LIMIT = 20_000


class Frauds:
    """Draws the frauds of a day; `false_shops` and `stolen` are accounts of false merchants and in stolen names."""

    def __init__(self, rng: Generator, world: World, mules: Mules, false_shops: Ints, stolen: Ints) -> None:
        self._world, self._mules = world, mules
        self._stolen = stolen
        self._unused = np.ones(len(stolen), dtype=bool)
        self._cash_out = world.opened[stolen] + 4 + rng.exponential(14, len(stolen)).astype(np.int64)
        registered = world.opened[stolen] * DAY_MS + rng.integers(0, DAY_MS, len(stolen))
        self._opened_with = world.devices.add(rng, registered)
        self._shops = np.concatenate([false_shops, rng.choice(mules.accounts, max(1, len(false_shops) // 2))])
        self._shop_opens = world.opened[self._shops] + rng.integers(1, 30, len(self._shops))
        self._shop_closes = self._shop_opens + 4 + rng.exponential(16, len(self._shops)).astype(np.int64)
        self._episodes = 0
        self._scripts: dict[Kind, Callable[[Generator, Day, int, int], Payments]] = {
            Kind.TAKEOVER: self._takeovers,
            Kind.SCAM: self._scams,
            Kind.COERCION: self._coercions,
            Kind.FALSE_MERCHANT: self._false_sales,
            Kind.APPLICATION: self._applications,
        }

    def on(self, rng: Generator, day: Day, today: int, quota: int) -> Payments:
        """Draw about `quota` fraudulent payments that begin on the day."""
        if quota <= 0:
            return NOTHING
        count = int(np.ceil(quota / _MEAN_SIZE))
        drawn = rng.choice(list(_EPISODES), count, p=list(_EPISODES.values()))
        parts = [self._scripts[kind](rng, day, today, int((drawn == kind).sum())) for kind in _EPISODES]
        rows = together(parts)
        return rows.take(habits.possible(self._world, rows, today))

    def everyday(self, rng: Generator, day: Day, today: int) -> Payments:
        """Draw ordinary payments of accounts in a stolen name, which build up a history before they cash out."""
        warm = self._unused & (self._world.opened[self._stolen] < today)
        chosen = self._stolen[warm & (rng.random(len(warm)) < 0.4)]
        rows = light_use(rng, self._world, day, today, chosen)
        mine = np.isin(rows.payer, chosen)
        rows.device[mine] = self._thieves_devices(rows.payer[mine])
        return rows

    def _thieves_devices(self, accounts: Ints) -> Ints:
        """Return the device with which each account in a stolen name was opened."""
        device = self._opened_with[np.searchsorted(self._stolen, accounts)]
        return np.where(habits.devices_known(self._world, accounts), device, NO_DEVICE)

    def _takeovers(self, rng: Generator, day: Day, today: int, count: int) -> Payments:
        """Draw takeovers: a thief enters, often at night and from a new device, and pays several mules."""
        persons = self._victims(rng, today, count)
        hours = np.where(rng.random(count) < 0.45, rng.normal(24.5, 2.5, count), rng.normal(15, 4.5, count))
        start = day.place(hours)
        payer = self._world.account_of(rng, persons, today)
        device, unregistered = self._intruders(rng, payer, start)
        # An unregistered device may send R$ 1,000 a day, which is five payments at its limit.
        sizes = rng.geometric(0.30, count).clip(max=np.where(unregistered, 5, 9))
        lead, at = _burst(rng, start, sizes, 6)
        cents = amounts.transferred(rng, self._world.spend[persons][lead] + rng.normal(1.1, 1.1, len(lead)))
        cents = np.where(unregistered[lead], np.minimum(cents, _UNREGISTERED_LIMIT), cents)
        payee = self._mules.receivers(rng, day, today, len(lead))
        return self._rows(rng, Kind.TAKEOVER, lead, at, payer, payee, cents, device=device)

    def _scams(self, rng: Generator, day: Day, today: int, count: int) -> Payments:
        """Draw scams: a deceived victim pays a mule from the own phone, mostly by day, often more than usual."""
        persons = self._victims(rng, today, count)
        start = day.place(habits.waking_hours(rng, self._world, persons))
        lead, at = _burst(rng, start, rng.geometric(0.62, count).clip(max=4), 35)
        payer = self._world.account_of(rng, persons, today)
        cents = amounts.transferred(rng, self._world.spend[persons][lead] + rng.normal(1.3, 1.1, len(lead)))
        payee = self._mules.receivers(rng, day, today, count)[lead]
        return self._rows(rng, Kind.SCAM, lead, at, payer, payee, cents)

    def _coercions(self, rng: Generator, day: Day, today: int, count: int) -> Payments:
        """Draw coercions: a robber forces the victim to pay from the own phone, up to the night limit."""
        persons = self._victims(rng, today, count)
        start = day.place(rng.normal(22.5, 2.5, count))
        lead, at = _burst(rng, start, rng.geometric(0.45, count).clip(max=5), 8)
        payer = self._world.account_of(rng, persons, today)
        share = np.where(rng.random(len(lead)) < 0.3, 1.0, rng.uniform(0.3, 1.0, len(lead)))
        cents = np.maximum(5_000, np.rint(share * amounts.night_limit() / 5_000) * 5_000).astype(np.int64)
        payee = self._mules.receivers(rng, day, today, len(lead))
        return self._rows(rng, Kind.COERCION, lead, at, payer, payee, cents)

    def _false_sales(self, rng: Generator, day: Day, today: int, count: int) -> Payments:
        """Draw false sales: a customer pays the QR code of a shop that never delivers."""
        trading = (
            (self._shop_opens <= today) & (today < self._shop_closes) & (self._world.opened[self._shops] < today)
        )
        shops = self._shops[trading]
        if not len(shops):
            return NOTHING
        persons = self._victims(rng, today, count)
        at = day.place(rng.normal(rng.choice([12.0, 16.0, 21.0], count), 2.8))
        payee = rng.choice(shops, count)
        payer = self._world.account_of(rng, persons, today)
        cents = amounts.charged(
            rng, np.log(150) + 0.4 * (self._world.spend[persons] - 4.1) + rng.normal(0, 0.9, count)
        )
        form = rng.choice([Form.QRDN, Form.QRES, Form.DICT], count, p=[0.55, 0.3, 0.15])
        return self._rows(rng, Kind.FALSE_MERCHANT, np.arange(count), at, payer, payee, cents, form=form)

    def _applications(self, rng: Generator, day: Day, today: int, count: int) -> Payments:
        """Draw application frauds: a young account in a stolen name sends its whole credit line away in one burst."""
        ready = np.flatnonzero(self._unused & (self._cash_out <= today) & (self._world.opened[self._stolen] < today))
        chosen = ready[:count]
        self._unused[chosen] = False
        payer = self._stolen[chosen]
        start = day.place(rng.normal(15, 5, len(payer)))
        lead, at = _burst(rng, start, 1 + rng.geometric(0.3, len(payer)).clip(max=7), 20)
        cents = amounts.transferred(rng, rng.normal(6.0, 1.0, len(lead)))
        payee = self._mules.receivers(rng, day, today, len(lead))
        device = self._thieves_devices(payer)
        return self._rows(rng, Kind.APPLICATION, lead, at, payer, payee, cents, device=device)

    def _rows(
        self,
        rng: Generator,
        kind: Kind,
        lead: Ints,
        at: Ints,
        payer: Ints,
        payee: Ints,
        cents: Ints,
        device: Ints | None = None,
        form: Ints | None = None,
    ) -> Payments:
        """Assemble payments; `lead` is the episode of each, `payer` and `device` are per episode."""
        form = habits.person_forms(rng, len(lead)) if form is None else form
        rows = payments(at, payer[lead], payee, cents, form, kind, episode=self._episodes + lead)
        self._episodes += len(payer)
        rows.cents[:] = habits.within_night_limit(self._world, rows)
        rows.device[:] = habits.own_devices(rng, self._world, rows.payer, rows.at) if device is None else device[lead]
        return rows

    def _victims(self, rng: Generator, today: int, count: int) -> Ints:
        """Draw persons with an open main account, weighted by the square root of their activity."""
        is_open = self._world.opened[: self._world.persons] < today
        return by_weight(rng, np.sqrt(self._world.activity) * is_open, count)

    def _intruders(self, rng: Generator, payer: Ints, start: Ints) -> tuple[Ints, Flags]:
        """Draw the device of each takeover (new, unregistered or the victim's) and the mask of unregistered ones."""
        count = len(payer)
        way = rng.choice(3, count, p=[0.48, 0.05, 0.47])
        since = start - MINUTE_MS - (rng.lognormal(np.log(20), 1.6, count) * HOUR_MS).astype(np.int64)
        new = self._world.devices.add(rng, np.where(way == 1, UNREGISTERED, since))
        device = np.where(way == 2, habits.own_devices(rng, self._world, payer, start), new)
        return np.where(habits.devices_known(self._world, payer), device, NO_DEVICE), way == 1


def _burst(rng: Generator, start: Ints, sizes: Ints, gap_minutes: float) -> tuple[Ints, Ints]:
    """Spread `sizes[i]` payments from `start[i]` on; return the episode and moment of each."""
    lead = np.repeat(np.arange(len(start)), sizes)
    first = np.cumsum(sizes) - sizes
    gaps = rng.exponential(gap_minutes, len(lead)) * MINUTE_MS + 15_000
    gaps[first] = 0
    since_first = np.cumsum(gaps) - (np.cumsum(gaps)[first])[lead] if len(lead) else gaps
    return lead, start[lead] + since_first.astype(np.int64)
