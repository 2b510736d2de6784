"""Serve the previous version again, at once and without a deploy. A second rollback undoes the first.

Exit codes: 0 done, 1 refused or failed, 3 another swap came first; only 0 changes anything.
"""

from __future__ import annotations

import os

from jobs.cli import arguments, console, interruption, wiring
from shared.errors import PreconditionFailed
from shared.settings import Settings


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    parser = arguments.parser("rollback", __doc__)
    parser.add_argument("--reason", default="rolled back by hand", help="for the ledger (default: %(default)s)")
    options = parser.parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _rollback(options.reason))


def _rollback(reason: str) -> tuple[int, object]:
    operator_move = wiring.operator_move(Settings.from_env(os.environ))
    try:
        return console.OK, operator_move.rollback(reason)
    except PreconditionFailed as error:
        return console.LOST, {"outcome": "SWAP_LOST", "reasons": [str(error)]}


if __name__ == "__main__":
    interruption.leave(main())
