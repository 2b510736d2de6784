"""Explain why a day's scores differ from those of the week before it: which source, of which publisher, and why.

Samples of the day and of the week before are scored by the champion, with one source of features at a time
exchanged between them. Sources are fields of the message and parts of history. Causes are ranked by the part of the
change of score, alerts and foretold loss that each explains, those with signs of a fault first. The text goes to
standard error, the same as JSON to standard output. With --record it becomes rows of pix.health, which the desk shows
at /drift.

Exit codes: 0 done, also where there are too few rows or no model, 1 failed.
"""

from __future__ import annotations

import argparse
import os
import sys

from jobs.cli import arguments, console, interruption, wiring
from shared.settings import Settings


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _explain(options))


def _explain(options: argparse.Namespace) -> tuple[int, object]:
    from shared.contract.event import micros
    from shared.learning.errors import NothingToDo
    from shared.learning.monitoring.causes.report import explain_day, health_rows, text
    from shared.learning.monitoring.measures import Key

    settings = Settings.from_env(os.environ)
    try:
        found = explain_day(wiring.cause_source(settings), wiring.blobs(settings), options.day)
    except NothingToDo as reason:
        return console.OK, {"outcome": "NOTHING_TO_DO", "reasons": [str(reason)]}
    sys.stderr.write(text(found) + "\n")
    if options.record:
        key = Key(micros(options.day), micros(wiring.now()), model_version=found.version)
        wiring.health(settings).append(health_rows(found, key))
    return console.OK, found


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("explain_drift", __doc__)
    parser.add_argument("day", type=arguments.past_day, metavar="DAY", help="day (UTC), for example 2026-11-20")
    parser.add_argument("--record", action="store_true", help="append the causes to pix.health")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
