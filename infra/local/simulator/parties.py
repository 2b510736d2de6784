"""Payers and payees in the form of the contract, as each side knows them; the JSON of an account is made once."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from msgspec import Raw

from infra.local.simulator.arrays import Flags, Ints
from infra.local.simulator.clock import local_date
from infra.local.simulator.config import Form
from infra.local.simulator.payments import Payments
from infra.local.simulator.psp import PSPS
from infra.local.simulator.world import ACCOUNT_TYPES, KEY_TYPES, World
from shared.features.limits import limits_in_force

_NO_KEY, _FIRST_KEY, _NEW_KEY = 0, 1, 2
_REGISTERED_PERCENT = 12
"""Share of contacts whom their payers registered before (IN BCB 512/2024), in percent; an assumption."""


class Parties:
    """The accounts of a world as JSON."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._payers: dict[int, Raw] = {}
        self._senders: dict[int, Raw] = {}
        self._payees: dict[tuple[int, int, bool], Raw] = {}
        self._receivers: dict[tuple[int, int], Raw] = {}

    def payers(self, rows: Payments) -> list[Raw]:
        """Return the payers as their institutions know them."""
        return [self._payer(account) for account in rows.payer.tolist()]

    def senders(self, rows: Payments) -> list[Raw]:
        """Return the payers as the payees' institutions know them, from the message of the SPI."""
        return [self._sender(account) for account in rows.payer.tolist()]

    def payees(self, rows: Payments) -> list[Raw]:
        """Return the payees as the payers' institutions know them, from DICT if by a key."""
        columns = (rows.payee, self._keys(rows), self._registered(rows))
        return [self._payee(each) for each in zip(*(column.tolist() for column in columns), strict=True)]

    def receivers(self, rows: Payments) -> list[Raw]:
        """Return the payees as their own institutions know them."""
        return [self._receiver(each) for each in zip(rows.payee.tolist(), self._keys(rows).tolist(), strict=True)]

    def _payer(self, account: int) -> Raw:
        if account not in self._payers:
            fields = self._account(account) | {"opened_at": _date(self._world.opened[account])}
            self._payers[account] = _raw(fields | self._limits(int(self._world.owner[account])))
        return self._payers[account]

    def _limits(self, owner: int) -> dict[str, Any]:
        """Return the customer's own limits, where they are not those of the norm."""
        world, norm = self._world, limits_in_force().night
        if owner >= world.persons:
            return {}
        limits = {}
        if world.night_limit[owner] != round(100 * norm.amount):
            limits["night"] = f"{world.night_limit[owner] // 100}.00"
        if world.night_from[owner] != norm.from_hour:
            limits["night_from"] = f"{world.night_from[owner]}:00"
        return ({"entrepreneur": True} if world.entrepreneur[owner] else {}) | ({"limits": limits} if limits else {})

    def _sender(self, account: int) -> Raw:
        if account not in self._senders:
            self._senders[account] = _raw(self._account(account))
        return self._senders[account]

    def _payee(self, of: tuple[int, int, bool]) -> Raw:
        if of not in self._payees:
            account, key, registered = of
            fields = self._account(account)
            if key != _NO_KEY:
                # Without a key there was no lookup in DICT, the source of the dates.
                fields |= {"opened_at": _date(self._world.opened[account])} | self._key(account, key)
            self._payees[of] = _raw(fields | ({"registered_by_payer": True} if registered else {}))
        return self._payees[of]

    def _receiver(self, of: tuple[int, int]) -> Raw:
        if of not in self._receivers:
            account, key = of
            fields = self._account(account) | {"opened_at": _date(self._world.opened[account])}
            self._receivers[of] = _raw(fields | (self._key(account, key) if key != _NO_KEY else {}))
        return self._receivers[of]

    def _keys(self, rows: Payments) -> Ints:
        renewed = self._world.key_changed[rows.payee] <= local_date(rows.at)
        return np.where(rows.form == Form.MANU, _NO_KEY, np.where(renewed, _NEW_KEY, _FIRST_KEY))

    def _registered(self, rows: Payments) -> Flags:
        """Return the mask of contacts whom their payers registered, always the same for a pair."""
        world = self._world
        persons = world.owner[rows.payer]
        contacts = world.contacts[np.minimum(persons, world.persons - 1)]
        known = (contacts == rows.payee[:, None]).any(axis=1) & (persons < world.persons)
        drawn = (persons * 7_919 + rows.payee * 104_729) % 100 < _REGISTERED_PERCENT
        registered: Flags = known & drawn
        return registered

    def _account(self, account: int) -> dict[str, Any]:
        world = self._world
        return {
            "tax_id": world.tax_ids[int(world.owner[account])],
            "ispb": PSPS[world.psp[account]].ispb,
            "branch": world.branches[account],
            "account": world.numbers[account],
            "account_type": ACCOUNT_TYPES[world.account_type[account]],
        }

    def _key(self, account: int, key: int) -> dict[str, str]:
        world, new = self._world, key == _NEW_KEY
        return {
            "key": world.keys[1 if new else 0][account],
            "key_type": "EVP" if new else KEY_TYPES[world.key_types[account]],
            "key_owned_since": _date(world.key_changed[account] if new else world.key_since[account]),
        }


def key_of(world: World, account: int, at: int) -> str:
    """Return the key (chave) of an account at a moment in UTC milliseconds."""
    return world.keys[int(world.key_changed[account] <= local_date(np.array(at)))][account]


def _raw(fields: dict[str, Any]) -> Raw:
    return Raw(msgspec.json.encode(fields))


def _date(day: int) -> str:
    return str(np.datetime64(int(day), "D"))
