"""Check that the served features equal those that a replay of the same transactions computes.

Replays pix.score_events and pix.feedback in the order of history (history_sequence), from the first transaction or
from a given state, and compares each feature of each row of the period with the logged one. Values may differ by the
rounding of float32: by one unit in the last place, or, for a difference or ratio of reads, by the effect of one unit
in these reads; differences below 1e-9 are ignored. Rows scored without history are left out and counted. A Pix
scored on both sides is counted once, and the features of either side are compared. Gaps (a counted transaction
without a row) and redelivered rows that are not identical are reported too. Records that the
store dropped after PIX_STATE_RECORD_DAYS without use are still known to a replay, so they show as differences.

Exit codes: 0 equal, 1 a feature or a redelivered row differs or a Pix counted twice, 2 could not be checked.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from jobs.cli import arguments, console, interruption, wiring
from shared.settings import Settings

COULD_NOT = 2


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _skew(options), failed=COULD_NOT)


def _skew(options: argparse.Namespace) -> tuple[int, object]:
    from shared.features.state import State
    from shared.replay.audit import Period, audit

    screen = Console(stderr=True)
    settings = Settings.from_env(os.environ)
    period = None if options.all else Period(options.since, options.until or wiring.now())
    start = State.load(options.state) if options.state else State.empty()
    with console.bar(screen) as progress:
        result = audit(wiring.stored_tables(settings), period, start, _advancing(progress))
    if result["features"]:
        screen.print(_table(result["features"]))
    return (console.OK if result["outcome"] == "EQUAL" else console.FAILED), result


def _advancing(progress: Progress) -> Any:
    task = progress.add_task("replay", total=None)
    return lambda done, total: progress.update(task, completed=done, total=total)


def _table(features: dict[str, dict[str, Any]]) -> Table:
    table = Table("feature", "rows", "largest difference", "in ulp", "of", title="Features that differ")
    for name, found in features.items():
        largest = "missing on one side" if found["largest"] is None else f"{found['largest']:g}"
        table.add_row(name, f"{found['rows']:,}", largest, str(found["ulp"] or ""), found["end_to_end_id"])
    return table


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("skew", __doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="compare every row")
    which.add_argument(
        "--from",
        dest="since",
        type=arguments.instant,
        metavar="TIME",
        help="compare rows scored from then on (RFC 3339)",
    )
    parser.add_argument(
        "--to", dest="until", type=arguments.instant, metavar="TIME", help="... and before then (default: now)"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="state of history to start from, written by jobs.replay --state-out (default: the first transaction). "
        "It must be older than the period, and lacks reports counted after its last transaction",
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
