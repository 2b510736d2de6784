"""Promote a published version by hand, such as one about which jobs.retrain asks (SUSPECTED).

The bundle is checked first; the ledger records actor and reason.

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
    parser = arguments.parser("promote", __doc__)
    parser.add_argument("version", metavar="VERSION", help="a folder under models/ in the bucket")
    parser.add_argument("--reason", default="promoted by hand", help="for the ledger (default: %(default)s)")
    options = parser.parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _promote(options.version, options.reason))


def _promote(version: str, reason: str) -> tuple[int, object]:
    operator_move = wiring.operator_move(Settings.from_env(os.environ))
    try:
        return console.OK, operator_move.promote(version, reason)
    except PreconditionFailed as error:
        return console.LOST, {"outcome": "SWAP_LOST", "version": version, "reasons": [str(error)]}


if __name__ == "__main__":
    interruption.leave(main())
