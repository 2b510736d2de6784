"""Erase a person (LGPD art. 18): all Pix that they paid or received, the reports about these, what history counted.

The tax id is asked for, or read from the first line of standard input, so that no command line or log holds it.
Further keys (chaves) of theirs may follow, one a line, as DICT has them: phone, e-mail, EVP. All are looked for by
their pseudonyms under PIX_HMAC_KEY: once that has been changed, run this for each version of it.

A row names its payer, but not always its payee. Where it does not, it is theirs if the key that was used is (a CPF as
key is the tax id), or if the account that received is one that stands beside them or their keys elsewhere. An account
may have other holders, and a key may have had another: `shared_accounts` says how many of the accounts stand beside
somebody else too. See that by --dry-run before you erase.

--state erases from the store of history, if it can be reached from here, what it has about their accounts, devices
and Pix. Others who use such an account or device then look new there, until state is rebuilt. Without --state records
vanish PIX_STATE_RECORD_DAYS after they were last touched; rows that are gone no longer tell which they are.

What was scored within the last half hour may have to wait: BigQuery then refuses, and this can be run again. What
else holds something of a person is in infra/README.md.

Exit codes: 0 done, also where nothing was found, 1 refused or failed.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct

from jobs.cli import arguments, console, wiring
from shared.contract.fields import PixKey, TaxId
from shared.contract.pseudonyms import KEY, PERSON, Pseudonymiser
from shared.errors import Misconfigured
from shared.features.facts import handsets
from shared.features.keys import Keys, keys_of, pair_of
from shared.features.layout import ACCOUNT, CONTACT, DEVICE
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.adapters.valkey.load import ValkeyLoad
    from shared.learning.ports import Queries

FEEDBACK, SCORE_EVENTS = "feedback", "score_events"


class Person(Struct, frozen=True):
    """The pseudonyms of a person and of their keys."""

    id: str
    keys: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, str]:
        """Return what the queries ask for."""
        return {"person": self.id} | {f"key_{number}": key for number, key in enumerate(self.keys)}


class Erased(Struct, frozen=True):
    """How much was erased, or would be: rows, and records of the store of history (None: left as they are).

    `accounts` are those by which rows without a payee's tax id are told, `shared_accounts` those of them that stand
    beside somebody else too.
    """

    score_events: int
    feedback: int
    accounts: int
    shared_accounts: int
    records: int | None
    dry_run: bool


class Erasure:
    """The rows of one person in the tables of a dataset, and their records in a store of history."""

    def __init__(self, queries: Queries, place: str, person: Person, store: ValkeyLoad | None = None) -> None:
        """`place` is a project and a dataset."""
        self._queries = queries
        self._sql = Statements(place, len(person.keys))
        self._person = person
        self._store = store

    def run(self, dry_run: bool) -> Erased:
        """Erase, last of all the rows that tell what else is theirs. Raises Unavailable, Misconfigured."""
        rows, reports = (self._count(self._sql.rows_of(table)) for table in (SCORE_EVENTS, FEEDBACK))
        accounts, shared = self._count(f"FROM ({self._sql.accounts})"), self._count(self._sql.shared)
        records = None
        if not dry_run:
            if self._store:
                records = self._store.erase(*self._records())
            for table in (FEEDBACK, SCORE_EVENTS):
                self._ask(f"DELETE {self._sql.rows_of(table)}")
        return Erased(rows, reports, accounts, shared, records, dry_run)

    def _records(self) -> tuple[Mapping[str, Keys], list[str]]:
        """Return the keys of their records, by kind, and the ids of their Pix."""
        rows = self._ask(f"SELECT {_PARTIES} {self._sql.rows_of(SCORE_EVENTS)}")
        accounts = [row["account"] for row in self._ask(self._sql.accounts)]
        return records_of(self._person.id, accounts, rows), sorted({row["end_to_end_id"] for row in rows})

    def _count(self, rows: str) -> int:
        [counted] = self._ask(f"SELECT COUNT(*) AS n {rows}")
        return int(counted["n"])

    def _ask(self, sql: str) -> list[dict[str, Any]]:
        return self._queries.rows(sql, self._person.parameters)


_PARTIES = "end_to_end_id, payer_person_id, payer_id, payee_id, device_id"


class Statements:
    """The GoogleSQL about a person with so many keys, in `place`, a project and a dataset."""

    def __init__(self, place: str, keys: int) -> None:
        self._place = place
        self._table = f"`{place}.{SCORE_EVENTS}`"
        self._by_key = f"payee_key_id IN ({', '.join(f'@key_{number}' for number in range(keys))})"

    @property
    def accounts(self) -> str:
        """Return the query of accounts that stand beside the person, or beside a key of theirs."""
        return (
            f"SELECT payer_id AS account FROM {self._table} WHERE payer_person_id = @person "  # noqa: S608
            f"UNION DISTINCT SELECT payee_id AS account FROM {self._table} "
            f"WHERE payee_person_id = @person OR (payee_person_id IS NULL AND {self._by_key})"
        )

    @property
    def shared(self) -> str:
        """Return from FROM on the query of those accounts that stand beside somebody else too."""
        return (
            f"FROM (SELECT payer_id AS account FROM {self._table} "  # noqa: S608
            f"WHERE payer_person_id != @person AND payer_id IN ({self.accounts}) "
            f"UNION DISTINCT SELECT payee_id AS account FROM {self._table} "
            f"WHERE payee_person_id != @person AND payee_id IN ({self.accounts})) AS others"
        )

    def rows_of(self, table: str) -> str:
        """Return from FROM on the query of the person's rows in a table."""
        theirs = (
            f"FROM {self._table} WHERE payer_person_id = @person OR payee_person_id = @person "
            f"OR (payee_person_id IS NULL AND ({self._by_key} OR payee_id IN ({self.accounts})))"
        )
        if table == SCORE_EVENTS:
            return theirs
        return f"FROM `{self._place}.{table}` WHERE end_to_end_id IN (SELECT end_to_end_id {theirs})"


def records_of(person: str, accounts: Sequence[str], rows: Sequence[Mapping[str, str | None]]) -> dict[str, Keys]:
    """Return the keys of what history holds of a person, by kind of record.

    That is their accounts, the pairs of payer and payee of all their Pix, and the devices by which they paid.
    """

    def keys(of: Sequence[Mapping[str, str | None]], name: str) -> Keys:
        return keys_of([row[name] or "" for row in of])

    paid = [row for row in rows if row["payer_person_id"] == person]
    devices = keys(paid, "device_id")
    pairs = pair_of(keys(rows, "payer_id"), keys(rows, "payee_id"))
    contacts = np.concatenate((pairs, handsets(devices, keys(paid, "payer_id"))))
    found = {ACCOUNT.kind: keys_of(accounts), CONTACT.kind: contacts, DEVICE.kind: devices}
    return {kind: np.unique(own[own > 0]) for kind, own in found.items()}


def person_of(tax_id: str, keys: Sequence[str], settings: Settings) -> Person:
    """Return the pseudonyms of a CPF or CNPJ and of further keys. Raises Misconfigured, never with what was given."""
    try:
        msgspec.convert(tax_id, TaxId)
        msgspec.convert(keys, list[PixKey])
    except msgspec.ValidationError:
        raise Misconfigured(
            "a tax id is a CPF of 11 digits or a CNPJ of 14 characters, without punctuation; a key has at most 77"
        ) from None
    pseudonym = Pseudonymiser(settings.hmac_key.encode()).pseudonym
    return Person(pseudonym(PERSON, tax_id), tuple(pseudonym(KEY, key) for key in dict.fromkeys((tax_id, *keys))))


def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    tax_id, *keys = list(_given()) or [""]
    return console.run(lambda: _erase(tax_id, keys, options.state, options.dry_run))


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("erase", __doc__)
    parser.add_argument("--dry-run", action="store_true", help="only count what would be erased")
    parser.add_argument("--state", metavar="URL", help="the store of history: redis://host:port")
    return parser


def _given() -> Iterator[str]:
    """Yield the tax id, then further keys, until a line is empty."""
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    yield getpass.getpass("Tax id: ").strip()
    while key := getpass.getpass("Another key of theirs (Enter: none): ").strip():
        yield key


def _erase(tax_id: str, keys: Sequence[str], state: str | None, dry_run: bool) -> tuple[int, Erased]:
    settings = Settings.from_env(os.environ)
    person, queries = person_of(tax_id, keys, settings), wiring.queries(settings)
    place = f"{settings.project}.{settings.dataset}"
    if state is None:
        return console.OK, Erasure(queries, place, person).run(dry_run)
    with closing(wiring.state_load(settings, state)) as store:
        return console.OK, Erasure(queries, place, person, store).run(dry_run)


if __name__ == "__main__":
    sys.exit(main())
