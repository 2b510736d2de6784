"""End the holds and blocks that nobody reviewed in time, and tell it on the topic pix-decisions.

A Pix that is held is released or refused, as PIX_UNREVIEWED_HOLDS says (release, refuse); one that is blocked is
released. It is ended unless an outcome or the verdict of an analyst has ended it by its deadline, hold_until. Each
run tells the deadlines since the last one (the first: of one day), at least once: a run that is cut off is repeated
by the next. It may run beside itself. Run it every minute.

Exit codes: 0 done, also where no deadline has passed or nothing is published (PIX_PUBLISH_DECISIONS), 1 failed; then
the next run tells the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os

from jobs.cli import arguments, console, interruption, wiring
from shared.settings import NOTHING, Settings


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _expire(options))


def _expire(options: argparse.Namespace) -> tuple[int, object]:
    settings = Settings.from_env(os.environ)
    if settings.publish_decisions == NOTHING:
        return console.OK, {"outcome": "NOT_PUBLISHED"}
    until = wiring.now() - dt.timedelta(seconds=options.older_than)
    return console.OK, asyncio.run(wiring.expired(settings, until))


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("expire", __doc__)
    parser.add_argument(
        "--older-than",
        type=arguments.pause,
        default=30,
        metavar="SECONDS",
        help="leave the deadlines of the last seconds alone: a verdict in time may be on its way (default: 30)",
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
