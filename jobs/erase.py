"""Erase a person (LGPD art. 18): all Pix that they paid or received, the reports about these, their history.

The tax id is prompted for, or read from the first line of standard input, so that no command line or log holds it.
Their other keys (chaves) may follow, one a line: phone with +55, e-mail, EVP. All are searched by their
pseudonyms under PIX_HMAC_KEY, also in rows of the key before it that have those of both. Rows that have those of a
former key alone are found under that key: run this once for each version of it that is kept.

Rows that do not name their payee are matched by key, or by an account that stands beside the person elsewhere. An
account may have other holders: `shared_accounts` counts those. Look at it with --dry-run before you erase.

--state also erases their accounts, devices and verdicts from the store of history, if it can be reached from here.
Other users of such an account or device then look new there until the state is rebuilt. Without --state, records
expire PIX_STATE_RECORD_DAYS after their last use; once the rows are gone, nothing identifies these records.

Snapshots of history hold their records too, so all are removed; the next one is made from the rows that remain.

BigQuery may refuse to delete rows of the last half hour; then run this again. Other places that hold personal data
are listed in infra/README.md.

Exit codes: 0 done, also where nothing was found, 1 refused or failed.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing

from jobs.cli import arguments, console, history_wiring, interruption, wiring
from shared.contract.pseudonyms import Pseudonymiser
from shared.operations.erasure import Erased, Erasure, person_of
from shared.settings import Settings


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    tax_id, *keys = list(_given()) or [""]
    return console.run(lambda: _erase(tax_id, keys, options.state, options.dry_run))


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("erase", __doc__)
    parser.add_argument("--dry-run", action="store_true", help="count only; erase nothing")
    parser.add_argument("--state", metavar="URL", help="the store of history: redis://host:port")
    return parser


def _given() -> Iterator[str]:
    """Yield the tax id, then further keys, until an empty line."""
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    yield getpass.getpass("Tax id: ").strip()
    while key := getpass.getpass("Another of their keys (Enter: none): ").strip():
        yield key


def _erase(tax_id: str, keys: Sequence[str], state: str | None, dry_run: bool) -> tuple[int, Erased]:
    settings = Settings.from_env(os.environ)
    pseudonymiser = Pseudonymiser(settings.hmac_key.encode())
    person, own = person_of(tax_id, keys, pseudonymiser), pseudonymiser.fingerprint
    queries, dataset = wiring.queries(settings), f"{settings.project}.{settings.dataset}"
    if state is None:
        found = Erasure(queries, dataset, person, hmac_key=own).run(dry_run)
    else:
        with closing(history_wiring.history_store(settings, state)) as store:
            found = Erasure(queries, dataset, person, store, own).run(dry_run)
    if not dry_run:
        # They hold the person's records; the next one is made from the rows.
        history_wiring.snapshots(settings).clear()
    return console.OK, found


if __name__ == "__main__":
    interruption.leave(main())
