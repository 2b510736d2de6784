"""Remove model bundles that nothing points to.

Kept are what the pointer names, its version and the one before, the last whole bundles, every version that the ledger
names within its retention window, and bundles without a manifest for a day, as somebody may be writing them.

Exit codes: 0 done, 1 failed (running again goes on), 3 somebody moved the pointer meanwhile, and nothing was removed.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from jobs.cli import arguments, console, wiring
from shared.errors import PreconditionFailed
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.learning.lifecycle.retire import Retirement


def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _retire(options))


def _retire(options: argparse.Namespace) -> tuple[int, object]:
    from shared.learning.lifecycle.pointer import standing
    from shared.learning.lifecycle.reconcile import unpublished, unrecorded
    from shared.learning.lifecycle.retire import Retention, plan, retire

    work = wiring.retiring(Settings.from_env(os.environ))
    if not options.dry_run:
        unrecorded(work.blobs, work.ledger, standing(work.blobs))
        unpublished(work.blobs, work.shelf, work.ledger)
    read, found = plan(work, Retention(options.keep, options.days))
    Console(stderr=True).print(_table(found))
    kept = sum(fate.kept for fate in found)
    if options.dry_run:
        return console.OK, {"outcome": "DRY_RUN", "kept": kept, "retired": [f.version for f in found if not f.kept]}
    try:
        gone = retire(work, read, found)
    except PreconditionFailed as error:
        return console.LOST, {"outcome": "SWAP_LOST", "reasons": [str(error)]}
    return console.OK, {"outcome": "RETIRED" if gone else "NOTHING_TO_DO", "kept": kept, "retired": gone}


def _table(found: list[Retirement]) -> Table:
    table = Table("version", "", "why", title="Model bundles")
    for version, kept, reason in found:
        table.add_row(version, "kept" if kept else "removed", reason)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("retire", __doc__)
    parser.add_argument(
        "--keep",
        type=arguments.count,
        default=10,
        metavar="N",
        help="keep the last N whole bundles (default: %(default)s)",
    )
    parser.add_argument(
        "--days",
        type=arguments.count,
        default=365,
        metavar="N",
        help="keep what the ledger named within so many days (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and change nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
