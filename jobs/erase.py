"""Erase a person (LGPD art. 18): all Pix that they paid or received, and the reports about these.

The tax id is asked for, or read from standard input, so that no command line or log holds it. It is looked for by the
pseudonym under PIX_HMAC_KEY: once the key has been changed, run this for each version of it. What was scored within
the last half hour may have to wait: BigQuery then refuses, and this can be run again. What else holds something of a
person is in infra/README.md.

Exit codes: 0 done, also where nothing was found, 1 refused or failed.
"""

from __future__ import annotations

import getpass
import os
import sys
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from jobs import console, parsing, wiring
from shared.contract.fields import TaxId
from shared.errors import Misconfigured
from shared.privacy import PERSON, Pseudonymiser
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.learning.ports import Queries

FEEDBACK, SCORE_EVENTS = "feedback", "score_events"
_THEIRS = "payer_person_id = @person OR payee_person_id = @person"


class Erased(Struct, frozen=True):
    """How many rows were erased, or would be."""

    score_events: int
    feedback: int
    dry_run: bool


class Erasure:
    """The rows of one person in the tables of a dataset."""

    def __init__(self, queries: Queries, project: str, dataset: str, person: str) -> None:
        self._queries = queries
        self._place = f"{project}.{dataset}"
        self._person = {"person": person}

    def run(self, dry_run: bool) -> Erased:
        """Erase reports first: whose they are is known by the Pix alone. Raises Unavailable, Misconfigured."""
        found = Erased(self._count(SCORE_EVENTS), self._count(FEEDBACK), dry_run)
        if not dry_run:
            for table in (FEEDBACK, SCORE_EVENTS):
                self._queries.rows(f"DELETE {rows_of(self._place, table)}", self._person)
        return found

    def _count(self, table: str) -> int:
        [counted] = self._queries.rows(f"SELECT COUNT(*) AS n {rows_of(self._place, table)}", self._person)
        return int(counted["n"])


def rows_of(place: str, table: str) -> str:
    """Return the GoogleSQL of a person's rows in a table of `place`, a project and a dataset.

    >>> rows_of("bank.pix", "score_events")
    'FROM `bank.pix.score_events` WHERE payer_person_id = @person OR payee_person_id = @person'
    """
    theirs = f"FROM `{place}.{SCORE_EVENTS}` WHERE {_THEIRS}"
    if table == SCORE_EVENTS:
        return theirs
    return f"FROM `{place}.{table}` WHERE end_to_end_id IN (SELECT end_to_end_id {theirs})"


def pseudonym(tax_id: str, settings: Settings) -> str:
    """Return the pseudonym of a CPF or CNPJ, without punctuation. Raises Misconfigured, never with the id."""
    try:
        msgspec.convert(tax_id, TaxId)
    except msgspec.ValidationError:
        raise Misconfigured(
            "a tax id is a CPF of 11 digits or a CNPJ of 14 characters, without punctuation"
        ) from None
    return Pseudonymiser(settings.hmac_key.encode()).pseudonym(PERSON, tax_id)


def main(arguments: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    parser = parsing.parser("erase", __doc__)
    parser.add_argument("--dry-run", action="store_true", help="only count what would be erased")
    options = parser.parse_args(arguments)
    wiring.prepare(os.environ)
    tax_id = (getpass.getpass("Tax id: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    return console.run(lambda: _erase(tax_id, options.dry_run))


def _erase(tax_id: str, dry_run: bool) -> tuple[int, Erased]:
    settings = Settings.from_env(os.environ)
    queries = wiring.queries(settings, os.environ)
    return console.OK, Erasure(queries, settings.project, settings.dataset, pseudonym(tax_id, settings)).run(dry_run)


if __name__ == "__main__":
    sys.exit(main())
