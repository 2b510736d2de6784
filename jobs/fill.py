"""Find the places in history of decided Pix whose rows lack them.

A row lacks a place if the store of history was away when the Pix was decided, answered too late, or has lost its
last changes since (pix.lost_places). Each such Pix is asked for again under the claim of its row, so that it counts
once; its place, and its features as of that place, are appended to pix.fills, which replays, jobs.skew, training and
jobs.repair read. Outcomes and reports that were lost are counted again too, and late outcomes are counted without
waiting (pix.late_outcomes; jobs.repair does so by itself).

May be interrupted and repeated, and may run beside traffic and beside itself. A decision whose id another message has
stays without a place, as does a side of which only the other one has a place; `left` counts them.

Exit codes: 0 done, also where nothing lacks a place, 1 failed, for instance because the store is away or empty.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os

import msgspec

from jobs.cli import arguments, console, filling, interruption, wiring
from shared.settings import Settings

ROWS = 100_000


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _fill(options))


def _fill(options: argparse.Namespace) -> tuple[int, object]:
    now = wiring.now()
    since = options.since or now - dt.timedelta(days=options.days)
    until = now - dt.timedelta(seconds=options.older_than)
    found, late = filling.filled(Settings.from_env(os.environ), since, until, options.rows, late_seconds=0)
    outcome = "FILLED" if found.any or late.counted else "NOTHING_TO_FILL"
    return console.OK, {"outcome": outcome, **msgspec.structs.asdict(found), "late": late}


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("fill", __doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--days", type=arguments.days, default=2, help="fill Pix initiated within that many days (default: 2)"
    )
    which.add_argument("--since", type=arguments.instant, metavar="TIME", help="... or from then on (RFC 3339)")
    parser.add_argument(
        "--rows", type=arguments.positive, default=100_000, help="fill at most so many Pix (default: 100000)"
    )
    parser.add_argument(
        "--older-than",
        type=arguments.pause,
        default=60,
        metavar="SECONDS",
        help="leave alone what was decided within that time: its row may still be under way (default: 60)",
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
