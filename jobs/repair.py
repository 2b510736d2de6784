"""Repair the store of history by itself; Cloud Scheduler runs it every five minutes.

1. A store that is empty, as a new one or one that was lost, is filled and opened: from the newest snapshot of
   jobs.snapshot and the rows of the tables after it, else from all rows. Traffic goes on meanwhile, degraded.
2. The places that a store has lost, as after a failover, are noted in pix.lost_places, so that their rows count as
   rows without a place.
3. Rows without a place get one, as by jobs.fill.
4. Late outcomes, which came when history had forgotten their Pix (pix.late_outcomes), are counted together, once one
   of them has waited for PIX_LATE_OUTCOME_SECONDS: one search for the rows of all costs less than one for each.

Two repairs at once do no harm: one of them fills the store, the other one says BUSY. A repair that is killed is
repeated by the next one.

Exit codes: 0 repaired, nothing to repair, or BUSY, 1 failed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import time
from contextlib import closing

from jobs.cli import arguments, console, filling, history_wiring, interruption, wiring
from shared.errors import PreconditionFailed
from shared.settings import Settings


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _repair(options))


def _repair(options: argparse.Namespace) -> tuple[int, object]:
    settings, started = Settings.from_env(os.environ), time.perf_counter()
    with closing(history_wiring.history_store(settings, settings.state)) as store:
        repair = history_wiring.repair(settings, store, lambda: time.sleep(options.settle))
        try:
            with console.bar() as progress:
                rebuilt = repair.rebuild(console.steps(progress))
        except PreconditionFailed as error:
            return console.OK, {"outcome": "BUSY", "reasons": [str(error)]}
        noted = repair.note_lost()
    now = wiring.now()
    until = now - dt.timedelta(seconds=options.settle)  # a later row may still be on its way
    since, late_seconds = now - dt.timedelta(days=options.days), settings.late_outcome_seconds
    filled, late = filling.filled(settings, since, until, options.rows, late_seconds)
    return console.OK, {
        "outcome": "REBUILT" if rebuilt else "REPAIRED" if noted or filled.any else "HEALTHY",
        "rebuilt": rebuilt,
        "epochs_noted": len(noted),
        "filled": filled,
        "late": late,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("repair", __doc__)
    parser.add_argument(
        "--settle",
        type=arguments.pause,
        default=60,
        metavar="SECONDS",
        help="time for rows on their way: before a lost store is filled, and before a row gets a place "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--days",
        type=arguments.days,
        default=2,
        metavar="N",
        help="give places to Pix initiated within N days (default: %(default)s)",
    )
    parser.add_argument(
        "--rows",
        type=arguments.positive,
        default=100_000,
        metavar="N",
        help="give places to at most N Pix, and to as many late outcomes (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
