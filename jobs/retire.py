"""Remove model bundles that are no longer needed.

Kept are the version in the pointer and the one before, the last complete bundles, every version that the ledger names
within its retention window, and for one day bundles without a manifest, as they may still be uploading.

Without PIX_MODEL_SIGNER, as in production, it writes nothing to the bucket, and deletes the versions that a
retraining has listed in the pointer, by the `retention` in jobs/config.yaml.

Exit codes: 0 done, 1 failed (running again continues), 3 another job moved the pointer and nothing was removed.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from jobs.cli import arguments, console, interruption, wiring
from shared.errors import PreconditionFailed
from shared.learning.config import Retention
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.learning.lifecycle.retire import Retirement


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _retire(options))


def _retire(options: argparse.Namespace) -> tuple[int, object]:
    from shared.learning.lifecycle.retire import retire

    retiring = wiring.retiring(Settings.from_env(os.environ))
    try:
        return console.OK, retire(retiring, Retention(options.keep, options.days), _show, options.dry_run)
    except PreconditionFailed as error:
        return console.LOST, {"outcome": "SWAP_LOST", "reasons": [str(error)]}


def _show(decisions: list[Retirement]) -> None:
    """Print each version, whether it is kept, and why, to standard error."""
    table = Table("version", "", "why", title="Model bundles")
    for version, retained, reason in decisions:
        table.add_row(version, "kept" if retained else "removed", reason)
    Console(stderr=True).print(table)


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("retire", __doc__)
    parser.add_argument(
        "--keep",
        type=arguments.count,
        default=Retention().keep,
        metavar="N",
        help="keep the last N complete bundles (default: %(default)s)",
    )
    parser.add_argument(
        "--days",
        type=partial(arguments.days, least=0),
        default=Retention().days,
        metavar="N",
        help="keep the versions named in the ledger within N days (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="list the bundles to remove, and change nothing")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
