"""The people, companies and accounts of a simulation, built once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from infra.local.simulator import identity
from infra.local.simulator.arrays import Flags, Floats, Ints
from infra.local.simulator.clock import DAY_MS
from infra.local.simulator.config import SimulationConfig
from infra.local.simulator.devices import Devices
from infra.local.simulator.psp import shares
from shared.features.limits import limits_in_force

ACCOUNT_TYPES = ("CACC", "TRAN", "SLRY", "SVGS")
KEY_TYPES = ("CPF", "CNPJ", "PHONE", "EMAIL", "EVP")
CONTACTS, FAVOURITES = 12, 8
# Alphanumeric CNPJs are issued from July 2026 (IN RFB 2.229/2024).
_ALPHANUMERIC_FROM = int(np.datetime64("2026-07-01", "D").astype(int))
_COMPANIES_PER_PERSON = 0.1


@dataclass(frozen=True)
class Category:
    """A category of companies."""

    name: str
    share: float
    """Share of companies."""
    ticket: float
    """Median amount of a payment, in BRL."""
    spread: float
    """Standard deviation of the log of the amount."""
    peaks: tuple[float, ...]
    """Busy local hours."""
    width: float
    """Standard deviation around a peak, in hours."""


CATEGORIES = (
    Category("market", 0.20, 62, 0.8, (10, 18.5), 2.2),
    Category("restaurant", 0.20, 48, 0.6, (12.5, 20), 1.5),
    Category("online shop", 0.14, 130, 1.0, (11, 15, 21.5), 2.8),
    Category("pharmacy", 0.09, 50, 0.7, (10, 17), 3.0),
    Category("transport", 0.07, 19, 0.5, (7.5, 18), 2.0),
    Category("services", 0.12, 190, 0.9, (10, 15), 2.5),
    Category("bar", 0.07, 55, 0.7, (21, 24), 2.0),
    Category("betting", 0.04, 45, 1.1, (21.5, 25), 3.5),
    Category("fuel", 0.07, 120, 0.5, (8, 18), 3.0),
)


@dataclass
class World:
    """Owners are persons (rows 0..persons-1), then companies. Account row i < owners is the main account of owner i;
    further accounts follow. Dates are days since 1970, `spend` is the log of a usual transfer in BRL. Persons have a
    limit of the night in centavos from a local hour on, unless they are entrepreneurs.
    """

    persons: int
    tax_ids: list[str]
    owner: Ints
    psp: Ints
    opened: Ints
    account_type: Ints
    branches: list[str]
    numbers: list[str]
    key_types: Ints
    keys: tuple[list[str], list[str]]
    key_since: Ints
    key_changed: Ints
    second: Ints
    fresh: Ints
    spend: Floats
    activity: Floats
    chronotype: Floats
    night_limit: Ints
    night_from: Ints
    entrepreneur: Flags
    contacts: Ints
    favourites: Ints
    employer: Ints
    salary: Ints
    seller: Floats
    category: Ints
    popularity: Floats
    static_qr: Flags
    devices: Devices

    @property
    def owners(self) -> int:
        """Return the number of persons and companies."""
        return len(self.tax_ids)

    def is_open(self, accounts: Ints, today: int) -> Flags:
        """Return the mask of accounts opened before the date."""
        return self.opened[accounts] < today

    def account_of(self, rng: Generator, persons: Ints, today: int) -> Ints:
        """Draw the paying account of each person: the main one, or sometimes the second."""
        second = self.second[persons]
        usable = (second >= 0) & (self.opened[second] < today)
        main_closed = self.opened[persons] >= today
        return np.where(usable & (main_closed | (rng.random(len(persons)) < 0.25)), second, persons)


def build(rng: Generator, config: SimulationConfig, fresh_opened: Ints, false_shops: int) -> World:
    """Build the world of the period.

    `fresh_opened` are the opening dates of further accounts, each assigned to a random person. The last `false_shops`
    companies trade like the others, but no person has them as a favourite.
    """
    persons = config.population
    companies = max(40, round(persons * _COMPANIES_PER_PERSON)) + false_shops
    first, last = config.start_ms // DAY_MS, config.end_ms // DAY_MS
    has_second = np.flatnonzero(rng.random(persons) < 0.45)
    owner = np.concatenate(
        [np.arange(persons + companies), has_second, rng.permutation(persons)[: len(fresh_opened)]]
        if len(fresh_opened) <= persons
        else [np.arange(persons + companies), has_second, rng.integers(0, persons, len(fresh_opened))]
    )
    opened = np.concatenate(
        [
            _main_openings(rng, persons, first, last),
            _company_openings(rng, companies, false_shops, first, last),
            _second_openings(rng, len(has_second), first, last),
            fresh_opened,
        ]
    )
    second = np.full(persons, -1)
    second[has_second] = persons + companies + np.arange(len(has_second))
    accounts = _accounts(rng, owner, persons, opened, first, last)
    return World(
        persons=persons,
        owner=owner,
        opened=opened,
        second=second,
        fresh=np.arange(len(owner) - len(fresh_opened), len(owner)),
        devices=Devices(rng, persons, config.start_ms),
        **accounts,
        **_people(rng, persons, second),
        **_trade(rng, persons, companies, false_shops),
    )


def _main_openings(rng: Generator, count: int, first: int, last: int) -> Ints:
    young = rng.random(count) < 0.15
    recent = rng.integers(first - 120, last, count)
    return np.where(young, recent, first - 30 - rng.exponential(1300, count).astype(np.int64))


def _second_openings(rng: Generator, count: int, first: int, last: int) -> Ints:
    young = rng.random(count) < 0.4
    recent = rng.integers(first - 90, last, count)
    return np.where(young, recent, first - 10 - rng.exponential(800, count).astype(np.int64))


def _company_openings(rng: Generator, count: int, false_shops: int, first: int, last: int) -> Ints:
    opened = np.where(
        rng.random(count) < 0.2,
        rng.integers(first - 90, last, count),
        first - 30 - rng.exponential(1500, count).astype(np.int64),
    )
    hurried = rng.integers(first - 120, max(first + 1, last - 2), false_shops)
    opened[count - false_shops :] = np.where(rng.random(false_shops) < 0.6, hurried, opened[count - false_shops :])
    return opened


def _accounts(rng: Generator, owner: Ints, persons: int, opened: Ints, first: int, last: int) -> dict[str, Any]:
    owners, count = int(owner.max()) + 1, len(owner)
    companies = owners - persons
    alphanumeric = (opened[persons:owners] >= _ALPHANUMERIC_FROM) & (rng.random(companies) < 0.5)
    tax_ids = identity.cpfs(rng, persons) + identity.cnpjs(rng, alphanumeric)
    of_company = owner >= persons
    is_main = np.arange(count) < owners
    key_types = _key_types(rng, of_company, is_main)
    keys = _keys(rng, key_types, [tax_ids[i] for i in owner.tolist()])
    renewed = rng.random(count) < 0.22
    key_changed = np.where(renewed, rng.integers(first - 20, last + 1, count), last + 10_000)
    key_since = opened + (rng.random(count) * np.maximum(0, first - opened) * (rng.random(count) < 0.5)).astype(int)
    account_type = rng.choice(4, count, p=[0.55, 0.40, 0.02, 0.03])
    return {
        "tax_ids": tax_ids,
        "psp": rng.choice(len(shares(last)), count, p=shares(last)),
        "account_type": np.where(of_company & (account_type > 1), 0, account_type),
        "branches": [f"{b:04d}" for b in np.where(rng.random(count) < 0.6, 1, rng.integers(2, 9999, count)).tolist()],
        "numbers": [str(n) for n in rng.integers(10_000, 10 ** rng.integers(6, 10, count)).tolist()],
        "key_types": key_types,
        "keys": (keys, identity.uuids(rng, count)),
        "key_since": key_since,
        "key_changed": np.maximum(key_changed, opened + 3),
    }


def _key_types(rng: Generator, of_company: Flags, is_main: Flags) -> Ints:
    count = len(of_company)
    person = rng.choice(5, count, p=[0.38, 0, 0.30, 0.12, 0.20])
    # A CPF is the key of one account only, so second accounts have other key types.
    other = rng.choice(5, count, p=[0, 0, 0.35, 0.20, 0.45])
    company = rng.choice(5, count, p=[0, 0.55, 0.04, 0.06, 0.35])
    return np.where(of_company, company, np.where(is_main, person, other))


def _keys(rng: Generator, key_types: Ints, tax_ids: list[str]) -> list[str]:
    count = len(key_types)
    by_type = (
        tax_ids,
        tax_ids,
        identity.phones(rng, count),
        identity.emails(rng, count),
        identity.uuids(rng, count),
    )
    return [by_type[kind][row] for row, kind in enumerate(key_types.tolist())]


def _people(rng: Generator, persons: int, second: Ints) -> dict[str, Any]:
    income = rng.choice(4, persons, p=[0.42, 0.35, 0.18, 0.05])
    spend = np.array([3.6, 4.1, 4.8, 5.7])[income] + rng.normal(0, 0.6, persons)
    nearby = (np.arange(persons)[:, None] + rng.integers(1, 40, (persons, CONTACTS))) % persons
    anyone = rng.integers(0, persons, (persons, CONTACTS))
    contacts = np.where(rng.random((persons, CONTACTS)) < 0.7, nearby, anyone)
    by_second = (second[contacts] >= 0) & (rng.random(contacts.shape) < 0.35)
    dormant = rng.random(persons) < 0.08
    return {
        "spend": spend,
        "activity": rng.lognormal(0, 0.8, persons) * np.where(dormant, 0.02, 1.0),
        "chronotype": rng.normal(0, 1.4, persons) + 5.0 * (rng.random(persons) < 0.06),
        **_night(rng, persons),
        "contacts": np.where(by_second, second[contacts], contacts),
        "salary": (100 * np.exp(spend + rng.normal(3.4, 0.25, persons))).astype(np.int64),
        "seller": (rng.random(persons) < 0.05) * rng.pareto(1.3, persons) + 0.02,
    }


def _night(rng: Generator, persons: int) -> dict[str, Any]:
    """Draw the limits of the night.

    Some customers asked for another amount, or for a night from 22h (IN BCB 185/2021); the shares are assumptions.
    """
    norm = limits_in_force().night
    asked = rng.choice([50_000, 200_000, 300_000, 500_000], persons, p=[0.15, 0.4, 0.3, 0.15])
    return {
        "night_limit": np.where(rng.random(persons) < 0.15, asked, round(100 * norm.amount)),
        "night_from": np.where(rng.random(persons) < 0.10, 22, norm.from_hour),
        "entrepreneur": rng.random(persons) < 0.05,
    }


def _trade(rng: Generator, persons: int, companies: int, false_shops: int) -> dict[str, Any]:
    genuine = companies - false_shops
    popularity = 1.0 / (1 + rng.permutation(companies)) ** 0.9
    popularity[genuine:] = popularity.min() / 2
    employed = rng.random(persons) < 0.5
    share = np.array([category.share for category in CATEGORIES])
    chances = popularity[:genuine] / popularity[:genuine].sum()
    return {
        "popularity": popularity,
        "category": rng.choice(len(CATEGORIES), companies, p=share / share.sum()),
        "static_qr": rng.random(companies) < 0.45,
        "favourites": persons + rng.choice(genuine, (persons, FAVOURITES), p=chances),
        "employer": np.where(employed, persons + rng.integers(0, genuine, persons), -1),
    }
