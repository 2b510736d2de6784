"""Erase a person (LGPD art. 18): their rows, the reports and examples of these, and their records of history.

A row names its payer, but not always its payee. Where it does not, it belongs to the person if its key is theirs (a
CPF as key is the tax id), or if the receiving account stands beside them or one of their keys in another row. An
account may have other holders, and a key may have had another owner: see `Erased.shared_accounts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from shared.contract.fields import KeyType, PixKey, TaxId
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.tables import under_key
from shared.errors import Misconfigured
from shared.features.facts import handsets
from shared.features.keys import Keys, keys_of, pair_of
from shared.features.layout import ACCOUNT, CONTACT, DEVICE, HOLDER, PERSON
from shared.ports.history import HistoryStore
from shared.ports.tables import Queries

FEEDBACK, FILLS, SCORE_EVENTS, TRAINING_SAMPLE = "feedback", "fills", "score_events", "training_sample"
REVIEWS = "reviews"
_CPF_DIGITS = 11


class Person(Struct, frozen=True):
    """The pseudonyms of a person and of their keys."""

    id: str
    keys: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, str]:
        """The query parameters."""
        return {"person": self.id} | {f"key_{number}": key for number, key in enumerate(self.keys)}


class Erased(Struct, frozen=True):
    """The extent of an erasure, done or (`dry_run`) only counted.

    `score_events` and `feedback` are rows, `records` those of the store of history (None: not touched). `accounts`
    identify rows without a payee's tax id; `shared_accounts` of them also stand beside another person.
    """

    score_events: int
    feedback: int
    accounts: int
    shared_accounts: int
    records: int | None
    dry_run: bool


class Erasure:
    """The rows of one person in the tables of a dataset, and their records in a store of history."""

    def __init__(
        self,
        queries: Queries,
        dataset: str,
        person: Person,
        store: HistoryStore | None = None,
        hmac_key: str | None = None,
    ) -> None:
        """`dataset` is named as project.dataset; the person by pseudonyms under the key with a fingerprint."""
        self._queries = queries
        self._sql = ErasureSql(dataset, len(person.keys), hmac_key)
        self._person = person
        self._store = store

    def run(self, dry_run: bool) -> Erased:
        """Erase; score rows go last, because they identify everything else. Raises Unavailable, Misconfigured."""
        rows, reports = (self._count(self._sql.rows_of(table)) for table in (SCORE_EVENTS, FEEDBACK))
        accounts, shared = self._count(f"FROM ({self._sql.accounts})"), self._count(self._sql.shared)
        records = None
        if not dry_run:
            if self._store:
                records = self._store.erase(*self._records())
            for table in (TRAINING_SAMPLE, REVIEWS, FEEDBACK, FILLS, SCORE_EVENTS):
                self._ask(f"DELETE {self._sql.rows_of(table)}")
        return Erased(rows, reports, accounts, shared, records, dry_run)

    def _records(self) -> tuple[Mapping[str, Keys], Keys, list[str]]:
        """Return the keys of their records, by kind, the payers of the contacts, and the ids of their Pix."""
        rows = self._ask(f"SELECT {self._sql.parties} {self._sql.rows_of(SCORE_EVENTS)}")
        accounts = [row["account"] for row in self._ask(self._sql.accounts)]
        return *records_of(self._person, accounts, rows), sorted({row["end_to_end_id"] for row in rows})

    def _count(self, rows: str) -> int:
        [counted] = self._ask(f"SELECT COUNT(*) AS n {rows}")
        return int(counted["n"])

    def _ask(self, sql: str) -> list[dict[str, Any]]:
        return self._queries.rows(sql, self._person.parameters)


_PARTIES = ("payer_person_id", "payer_id", "payee_id", "device_id")


class ErasureSql:
    """The GoogleSQL about a person with a given number of keys, in `dataset` (project.dataset).

    Ids of rows are read under the HMAC key with the fingerprint `hmac_key` (`shared.contract.tables.under_key`).
    """

    def __init__(self, dataset: str, keys: int, hmac_key: str | None = None) -> None:
        self._dataset = dataset
        self._hmac_key = hmac_key
        self._table = f"`{dataset}.{SCORE_EVENTS}`"
        self._keys = f"({', '.join(f'@key_{number}' for number in range(keys))})"
        self._by_key = f"{self._id('payee_key_id')} IN {self._keys}"
        self._paid_by_them = f"{self._id('payer_person_id')} = @person"
        self._paid_to_them = f"{self._id('payee_person_id')} = @person"

    @property
    def accounts(self) -> str:
        """The query of accounts that stand beside the person or one of their keys."""
        return (
            f"SELECT {self._id('payer_id')} AS account FROM {self._table} WHERE {self._paid_by_them} "  # noqa: S608 (names of our own)
            f"UNION DISTINCT SELECT {self._id('payee_id')} AS account FROM {self._table} "
            f"WHERE {self._paid_to_them} OR (payee_person_id IS NULL AND {self._by_key})"
        )

    @property
    def parties(self) -> str:
        """The select list of the parties of a Pix."""
        return ", ".join(("end_to_end_id", *(f"{self._id(name)} AS {name}" for name in _PARTIES)))

    @property
    def shared(self) -> str:
        """The FROM clause of those accounts that also stand beside another person."""
        payer, payee = self._id("payer_id"), self._id("payee_id")
        return (
            f"FROM (SELECT {payer} AS account FROM {self._table} "  # noqa: S608 (names of our own)
            f"WHERE {self._id('payer_person_id')} != @person AND {payer} IN ({self.accounts}) "
            f"UNION DISTINCT SELECT {payee} AS account FROM {self._table} "
            f"WHERE {self._id('payee_person_id')} != @person AND {payee} IN ({self.accounts})) AS others"
        )

    def rows_of(self, table: str) -> str:
        """Return the FROM clause of the person's rows in a table."""
        theirs = (
            f"FROM {self._table} WHERE {self._paid_by_them} OR {self._paid_to_them} "
            f"OR (payee_person_id IS NULL AND ({self._by_key} OR {self._id('payee_id')} IN ({self.accounts})))"
        )
        if table == SCORE_EVENTS:
            return theirs
        of_pix = f"FROM `{self._dataset}.{table}` WHERE end_to_end_id IN (SELECT end_to_end_id {theirs})"
        if table in (FILLS, REVIEWS, TRAINING_SAMPLE):
            return of_pix
        return f"{of_pix} OR {self._id('person_id')} = @person OR {self._id('key_id')} IN {self._keys}"

    def _id(self, name: str) -> str:
        return under_key(name, self._hmac_key)


def records_of(
    person: Person, accounts: Sequence[str], rows: Sequence[Mapping[str, str | None]]
) -> tuple[dict[str, Keys], Keys]:
    """Return the keys of a person's records in history, by kind of record, and the payers of the contacts.

    They are their accounts, the pairs of payer and payee of all their Pix, the devices they paid from, their own
    sums of limits, and the fraud markers about them and their keys.
    """

    def keys(of: Sequence[Mapping[str, str | None]], name: str) -> Keys:
        return keys_of([row[name] or "" for row in of])

    paid = [row for row in rows if row["payer_person_id"] == person.id]
    devices, payers, owners = keys(paid, "device_id"), keys(rows, "payer_id"), keys(paid, "payer_id")
    contacts, first = np.unique(
        np.concatenate((pair_of(payers, keys(rows, "payee_id")), handsets(devices, owners))), return_index=True
    )
    there = contacts > 0
    found = {
        ACCOUNT.kind: keys_of(accounts),
        DEVICE.kind: devices,
        PERSON.kind: keys_of([person.id]),
        HOLDER.kind: keys_of([person.id, *person.keys]),
    }
    records = {kind: np.unique(own[own > 0]) for kind, own in found.items()}
    return records | {CONTACT.kind: contacts[there]}, np.concatenate((payers, owners))[first[there]]


def person_of(tax_id: str, keys: Sequence[str], pseudonymiser: Pseudonymiser) -> Person:
    """Return the pseudonyms of a CPF or CNPJ and of further keys. Raises Misconfigured, without repeating them."""
    try:
        msgspec.convert(tax_id, TaxId)
        msgspec.convert(keys, list[PixKey])
    except msgspec.ValidationError:
        raise Misconfigured(
            "a tax id is a CPF of 11 digits or a CNPJ of 14 characters, without punctuation; a key has at most 77"
        ) from None
    own = KeyType.CPF if len(tax_id) == _CPF_DIGITS else KeyType.CNPJ
    found = [pseudonymiser.key(tax_id, own), *map(pseudonymiser.key, keys)]
    return Person(pseudonymiser.person(tax_id), tuple(dict.fromkeys(found)))
