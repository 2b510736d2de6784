"""Everyday payments of customers: to friends, shops, strangers and their own accounts."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from infra.local.simulator import amounts
from infra.local.simulator.arrays import Flags, Floats, Ints, by_weight
from infra.local.simulator.clock import MINUTE_MS, Day, is_night
from infra.local.simulator.config import Form, Kind, PurposeCode
from infra.local.simulator.devices import UNREGISTERED
from infra.local.simulator.payments import NO_DEVICE, NOTHING, Payments, payments, together
from infra.local.simulator.psp import PSPS
from infra.local.simulator.world import CATEGORIES, CONTACTS, FAVOURITES, World

_KINDS = (Kind.CONTACT, Kind.SHOP, Kind.STRANGER, Kind.OWN_ACCOUNT, Kind.WITHDRAWAL)
_KIND_CHANCES = (0.37, 0.47, 0.10, 0.05, 0.01)
_CONTACT_CHANCES = 0.75 ** np.arange(CONTACTS) / (0.75 ** np.arange(CONTACTS)).sum()
_SESSION, _FOLLOW_ON, _BROWSER = 0.16, 0.02, 0.006
_CHANGE = 0.01
"""Share of purchases with change (Pix Troco); an assumption."""
_UNREGISTERED_LIMIT = 20_000  # R$ 200 from a device that is not registered (BCB Resolution 403/2024)

PERSON_FORMS = ([Form.DICT, Form.MANU, Form.QRES, Form.INIC], [0.74, 0.10, 0.11, 0.05])
_SENDS_DEVICE = np.array([psp.sends_device for psp in PSPS])


def ordinary(rng: Generator, world: World, day: Day, today: int, count: int) -> Payments:
    """Draw exactly `count` everyday payments, among accounts opened before `today`."""
    parts, missing = [NOTHING], count
    while missing > 0:
        drawn = _draw(rng, world, day, today, int(missing * 1.15) + 20)
        kept = drawn.take(np.flatnonzero(possible(world, drawn, today))[:missing])
        parts.append(kept)
        missing -= len(kept)
    return together(parts)


def possible(world: World, rows: Payments, today: int) -> Flags:
    """Return the mask of payments between two different, open accounts."""
    both_open = world.is_open(rows.payer, today) & world.is_open(rows.payee, today)
    different: Flags = rows.payer != rows.payee
    return both_open & different


def own_devices(rng: Generator, world: World, accounts: Ints, at: Ints) -> Ints:
    """Draw the holder's device for each payment; NO_DEVICE for companies and for PSPs that do not send devices."""
    owners = world.owner[accounts]
    used = world.devices.used_by(rng, np.minimum(owners, world.persons - 1), at)
    return np.where(devices_known(world, accounts), used, NO_DEVICE)


def devices_known(world: World, accounts: Ints) -> Flags:
    """Return the mask of persons' accounts at PSPs that send device data."""
    known: Flags = (world.owner[accounts] < world.persons) & _SENDS_DEVICE[world.psp[accounts]]
    return known


def within_night_limit(world: World, rows: Payments) -> Ints:
    """Return the amounts, capped by the payers' own limits of the night."""
    persons = np.minimum(world.owner[rows.payer], world.persons - 1)
    limited = (world.owner[rows.payer] < world.persons) & ~world.entrepreneur[persons]
    capped = is_night(rows.at, world.night_from[persons]) & limited
    return np.where(capped, np.minimum(rows.cents, world.night_limit[persons]), rows.cents)


def waking_hours(rng: Generator, world: World, persons: Ints) -> Floats:
    """Draw hours of payments: mostly by day, shifted by each person's chronotype."""
    peak = rng.choice([9.5, 13.0, 18.0, 21.5], len(persons), p=[0.25, 0.27, 0.30, 0.18])
    late = rng.random(len(persons)) < 0.05
    return np.where(late, rng.uniform(22, 30, len(persons)), rng.normal(peak, 2.0) + 0.7 * world.chronotype[persons])


def person_forms(rng: Generator, count: int) -> Ints:
    """Draw the initiation forms of transfers between persons."""
    return rng.choice(PERSON_FORMS[0], count, p=PERSON_FORMS[1])


def shop_forms(rng: Generator, world: World, shops: Ints) -> Ints:
    """Draw the initiation forms of payments to shops: mostly the QR code."""
    code = np.where(world.static_qr[shops - world.persons], Form.QRES, Form.QRDN)
    near = np.where(code == Form.QRES, Form.APES, Form.APDN)
    other = rng.choice([Form.DICT, Form.INIC], len(shops), p=[0.6, 0.4])
    other = np.where(rng.random(len(shops)) < 0.2, near, other)
    return np.where(rng.random(len(shops)) < 0.86, code, other)


def strangers(rng: Generator, world: World, count: int) -> Ints:
    """Draw accounts of persons unknown to the payer: mostly informal sellers, otherwise anyone."""
    sellers = by_weight(rng, world.seller, count)
    found = np.where(rng.random(count) < 0.6, sellers, rng.integers(0, world.persons, count))
    second = world.second[found]
    return np.where((second >= 0) & (rng.random(count) < 0.4), second, found)


def shops(rng: Generator, world: World, count: int) -> Ints:
    """Draw companies by their popularity."""
    return world.persons + by_weight(rng, world.popularity, count)


def tickets(rng: Generator, world: World, persons: Ints, companies: Ints) -> Ints:
    """Draw the amounts that persons spend at companies, in centavos."""
    category = world.category[companies - world.persons]
    usual = np.log([c.ticket for c in CATEGORIES])[category] + 0.4 * (world.spend[persons] - 4.1)
    return amounts.charged(
        rng, usual + rng.normal(0, 1, len(persons)) * np.array([c.spread for c in CATEGORIES])[category]
    )


def _draw(rng: Generator, world: World, day: Day, today: int, count: int) -> Payments:
    persons = _payers(rng, world, today, count)
    kind = rng.choice(_KINDS, count, p=_KIND_CHANCES)
    company = _companies(rng, world, persons)
    at = _moments(rng, world, day, persons, kind, company)
    persons, at = _sessions(rng, day, persons, at)
    rows = payments(
        at,
        world.account_of(rng, persons, today),
        _payees(rng, world, persons, kind, company),
        _cents(rng, world, persons, kind, company),
        _forms(rng, world, kind, company),
        kind,
        purpose=_purposes(rng, kind),
    )
    rows = _follow_on(rng, world, day, rows)
    return with_devices(rng, world, rows)


def with_devices(rng: Generator, world: World, rows: Payments) -> Payments:
    """Add the payers' devices, sometimes an unregistered browser, and apply the limits."""
    rows.cents[:] = within_night_limit(world, rows)
    rows.device[:] = own_devices(rng, world, rows.payer, rows.at)
    browser = (rng.random(len(rows)) < _BROWSER) & (rows.cents <= _UNREGISTERED_LIMIT) & (rows.device != NO_DEVICE)
    rows.device[browser] = world.devices.add(rng, np.full(int(browser.sum()), UNREGISTERED))
    return rows


def _payers(rng: Generator, world: World, today: int, count: int) -> Ints:
    return by_weight(rng, world.activity * (world.opened[: world.persons] < today), count)


def _companies(rng: Generator, world: World, persons: Ints) -> Ints:
    count = len(persons)
    favourite = world.favourites[persons, rng.integers(0, FAVOURITES, count)]
    return np.where(rng.random(count) < 0.68, favourite, shops(rng, world, count))


def _payees(rng: Generator, world: World, persons: Ints, kind: Ints, company: Ints) -> Ints:
    count = len(persons)
    contact = world.contacts[persons, rng.choice(CONTACTS, count, p=_CONTACT_CHANCES)]
    own = world.second[persons]
    payee = np.where(kind == Kind.CONTACT, contact, company)
    payee = np.where(kind == Kind.STRANGER, strangers(rng, world, count), payee)
    return np.where(kind == Kind.OWN_ACCOUNT, np.where(own >= 0, own, contact), payee)


def _moments(rng: Generator, world: World, day: Day, persons: Ints, kind: Ints, company: Ints) -> Ints:
    category = world.category[company - world.persons]
    width = np.array([c.width for c in CATEGORIES])[category]
    peaks = np.array([[c.peaks[0], c.peaks[-1]] for c in CATEGORIES])
    peak = peaks[category, (rng.random(len(persons)) < 0.55).astype(int)]
    shop_hour = rng.normal(peak, width) + 0.3 * world.chronotype[persons]
    at_shop = np.isin(kind, (Kind.SHOP, Kind.WITHDRAWAL))
    return day.place(np.where(at_shop, shop_hour, waking_hours(rng, world, persons)))


def _cents(rng: Generator, world: World, persons: Ints, kind: Ints, company: Ints) -> Ints:
    lift = np.where(kind == Kind.OWN_ACCOUNT, 0.9, np.where(kind == Kind.STRANGER, 0.25, 0.0))
    spread = np.where(kind == Kind.CONTACT, 0.9, 1.1)
    sent = amounts.transferred(rng, world.spend[persons] + lift + spread * rng.normal(0, 1, len(persons)))
    cash = 1_000 * rng.integers(2, 30, len(persons))
    cents = np.where(kind == Kind.SHOP, tickets(rng, world, persons, company), sent)
    return np.where(kind == Kind.WITHDRAWAL, cash, cents)


def _forms(rng: Generator, world: World, kind: Ints, company: Ints) -> Ints:
    count = len(kind)
    form = np.where(kind == Kind.SHOP, shop_forms(rng, world, company), person_forms(rng, count))
    own = rng.choice([Form.MANU, Form.DICT, Form.INIC], count, p=[0.3, 0.5, 0.2])
    form = np.where(kind == Kind.OWN_ACCOUNT, own, form)
    return np.where(kind == Kind.WITHDRAWAL, Form.QRDN, form)


def _purposes(rng: Generator, kind: Ints) -> Ints:
    change = (kind == Kind.SHOP) & (rng.random(len(kind)) < _CHANGE)
    purpose = np.where(change, PurposeCode.GSCB, PurposeCode.IPAY)
    return np.where(kind == Kind.WITHDRAWAL, PurposeCode.OTHR, purpose)


def _sessions(rng: Generator, day: Day, persons: Ints, at: Ints) -> tuple[Ints, Ints]:
    """Move some payments to within minutes of another one, by the same person."""
    same = np.flatnonzero(rng.random(len(persons)) < _SESSION)
    lead = rng.integers(0, len(persons), len(same))
    persons, at = persons.copy(), at.copy()
    later = at[lead] + (rng.exponential(12, len(same)) * MINUTE_MS).astype(np.int64)
    persons[same], at[same] = persons[lead], np.minimum(later, day.end - 1)
    return persons, at


def _follow_on(rng: Generator, world: World, day: Day, rows: Payments) -> Payments:
    """Let some persons pass on money just received: shared bills, errands, suppliers."""
    received = np.flatnonzero(np.isin(rows.kind, (Kind.CONTACT, Kind.STRANGER)) & (rows.payee < world.persons))
    count = min(int(rng.binomial(len(rows), _FOLLOW_ON)), len(received))
    source, target = rng.permutation(received)[:count], rng.permutation(len(rows))[:count]
    onward = rows.take(np.arange(len(rows)))
    delay = (rng.lognormal(np.log(18), 1.0, count) * MINUTE_MS).astype(np.int64)
    persons = rows.payee[source]
    known = world.contacts[persons, rng.integers(0, CONTACTS, count)]
    onward.at[target] = np.minimum(rows.at[source] + delay, day.end - 1)
    onward.payer[target] = persons
    onward.payee[target] = np.where(rng.random(count) < 0.6, known, strangers(rng, world, count))
    onward.cents[target] = np.maximum(100, rows.cents[source] * rng.uniform(0.4, 1.0, count)).astype(np.int64)
    onward.form[target], onward.kind[target] = person_forms(rng, count), Kind.FOLLOW_ON
    onward.purpose[target] = PurposeCode.IPAY
    return onward
