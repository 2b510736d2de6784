"""Legitimate payments with a calendar or an occasion: wages, bills, large purchases, busy days."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from infra.local.simulator import amounts, habits
from infra.local.simulator.arrays import Ints
from infra.local.simulator.clock import MINUTE_MS, Day, day_of_month, is_payday, local_date
from infra.local.simulator.config import Form, Kind
from infra.local.simulator.payments import NO_DEVICE, Payments, payments, together
from infra.local.simulator.world import CONTACTS, World

_BILLS = 3
_LARGE_PER_DAY, _BURSTS_PER_DAY = 1 / 90, 1 / 130


class Routines:
    """The recurring payments of all persons, and the chance events of a day; `pace` in (0, 1] scales all."""

    def __init__(self, rng: Generator, world: World, pace: float) -> None:
        self._world, self._pace = world, pace
        shape = (world.persons, _BILLS)
        self._due = np.where(rng.random(shape) < 0.55 * pace, rng.integers(1, 29, shape), 0)
        self._biller = habits.shops(rng, world, world.persons * _BILLS).reshape(shape)
        to_person = rng.random(shape) < 0.3
        landlord = rng.integers(0, world.persons, shape)
        self._biller = np.where(to_person, landlord, self._biller)
        self._automatic = ~to_person & (rng.random(shape) < 0.35)
        usual = world.spend[:, None] + np.where(to_person, 2.2, 0.7) + rng.normal(0, 0.4, shape)
        self._bill_cents = (100 * np.exp(np.clip(usual, 2.5, 9))).astype(np.int64)
        self._paid_by_pix = rng.random(world.persons) < pace

    def on(self, rng: Generator, day: Day, today: int) -> Payments:
        """Draw all routine payments of the day, between open accounts."""
        parts = [
            self._salaries(rng, day),
            self._bills(rng, day),
            self._large(rng, day, today),
            self._bursts(rng, day, today),
            self._first_payments(rng, day, today),
        ]
        rows = habits.with_devices(rng, self._world, together(parts))
        rows.device[rows.form == Form.AUTO] = NO_DEVICE
        return rows.take(habits.possible(self._world, rows, today) & (rows.at < day.end))

    def _salaries(self, rng: Generator, day: Day) -> Payments:
        dates = [date for date in set(day.local_dates()) if is_payday(date)]
        staff = np.flatnonzero((self._world.employer >= 0) & self._paid_by_pix)
        if not dates or not len(staff):
            return together([])
        # A company pays all its staff in one run, from 5:30 or 9:00 on.
        run = np.where(self._world.employer % 3 == 0, 5.5, 9.0)[staff] + rng.exponential(0.2, len(staff))
        at = day.place(run)
        staff, at = staff[np.isin(local_date(at), dates)], at[np.isin(local_date(at), dates)]
        form = rng.choice([Form.MANU, Form.DICT], len(staff), p=[0.6, 0.4])
        cents = self._world.salary[staff]
        return payments(at, self._world.employer[staff], staff, cents, form, Kind.SALARY)

    def _bills(self, rng: Generator, day: Day) -> Payments:
        first, second = day.local_dates()
        due = (self._due == day_of_month(first)) | (self._due == day_of_month(second))
        persons, slot = np.nonzero(due)
        automatic = self._automatic[persons, slot]
        at = day.place(np.where(automatic, rng.uniform(0, 8, len(persons)), rng.normal(11, 3.5, len(persons))))
        on_date = self._due[persons, slot] == np.where(
            local_date(at) == first, day_of_month(first), day_of_month(second)
        )
        persons, slot, at, automatic = persons[on_date], slot[on_date], at[on_date], automatic[on_date]
        form = np.where(automatic, Form.AUTO, habits.person_forms(rng, len(persons)))
        cents = self._bill_cents[persons, slot] * np.where(rng.random(len(persons)) < 0.5, 1.0, rng.normal(1, 0.06))
        return payments(at, persons, self._biller[persons, slot], cents.astype(np.int64), form, Kind.BILL)

    def _large(self, rng: Generator, day: Day, today: int) -> Payments:
        """Draw rare large payments to a new payee: a car, a deposit for a flat, building work."""
        persons = self._some(rng, _LARGE_PER_DAY)
        count = len(persons)
        log_brl = self._world.spend[persons] + rng.normal(2.9, 1.0, count)
        to_company = rng.random(count) < 0.3
        payee = np.where(to_company, habits.shops(rng, self._world, count), habits.strangers(rng, self._world, count))
        at = day.place(rng.normal(14.5, 3.6, count))
        payer = self._world.account_of(rng, persons, today)
        cents = amounts.transferred(rng, log_brl)
        return payments(at, payer, payee, cents, habits.person_forms(rng, count), Kind.LARGE)

    def _bursts(self, rng: Generator, day: Day, today: int) -> Payments:
        """Draw busy hours with many new payees: a trip, a move, a fair, a night out."""
        persons = self._some(rng, _BURSTS_PER_DAY)
        sizes = 2 + rng.poisson(2.5, len(persons))
        lead = np.repeat(np.arange(len(persons)), sizes)
        start = day.place(habits.waking_hours(rng, self._world, persons) + 1.5)
        at = start[lead] + (rng.uniform(0, 1, len(lead)) * rng.exponential(100, len(persons))[lead] * MINUTE_MS)
        to_shop = rng.random(len(lead)) < 0.35
        company = habits.shops(rng, self._world, len(lead))
        payee = np.where(to_shop, company, habits.strangers(rng, self._world, len(lead)))
        sent = amounts.transferred(rng, self._world.spend[persons][lead] + rng.normal(0.6, 1.1, len(lead)))
        cents = np.where(to_shop, habits.tickets(rng, self._world, persons[lead], company), sent)
        form = np.where(to_shop, habits.shop_forms(rng, self._world, company), habits.person_forms(rng, len(lead)))
        payer = self._world.account_of(rng, persons, today)[lead]
        return payments(at.astype(np.int64), payer, payee, cents, form, Kind.BURST)

    def _first_payments(self, rng: Generator, day: Day, today: int) -> Payments:
        """Draw payments soon after a change of phone: to contacts and strangers."""
        persons, changed = self._world.devices.change_some(rng, day)
        lead = np.repeat(np.arange(len(persons)), rng.poisson(2.2 * self._pace, len(persons)))
        persons, count = persons[lead], len(lead)
        at = changed[lead] + (rng.exponential(90, count) * MINUTE_MS).astype(np.int64)
        contact = self._world.contacts[persons, rng.integers(0, CONTACTS, count)]
        payee = np.where(rng.random(count) < 0.55, contact, habits.strangers(rng, self._world, count))
        cents = amounts.transferred(rng, self._world.spend[persons] + rng.normal(0.3, 1.1, count))
        payer = self._world.account_of(rng, persons, today)
        return payments(at, payer, payee, cents, habits.person_forms(rng, count), Kind.CONTACT)

    def _some(self, rng: Generator, per_day: float) -> Ints:
        chance = np.minimum(1.0, self._world.activity * per_day * self._pace)
        return np.flatnonzero(rng.random(self._world.persons) < chance)
