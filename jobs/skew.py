"""Check that the served features equal those that a replay of the same transactions computes.

Replays pix.score_events and pix.feedback in the order of history (history_sequence), and compares each feature of
each Pix of the period with the logged one. Values may differ by the rounding of float32: by one unit in the last
place, or, for a difference or ratio of reads, by the effect of one unit in these reads; differences below 1e-9 are
ignored. Rows scored without history are left out and counted. A Pix scored on both sides is counted once, and the
features of either side are compared. Gaps (a counted transaction without a row) and redelivered rows that are not
identical are reported too.

The replay begins before the first transaction, in a given state, or with --last-days in the newest snapshots of
history (jobs.snapshot) that precede the period. Records that the store dropped after PIX_STATE_RECORD_DAYS without
use are left out of these; a replay from the beginning still knows them, so there they show as differences.

With --record the result is a row of pix.model_ledger. jobs.retrain reads these rows: where features differ, or were
not compared, a person has to look before a model trained on them serves.

Exit codes: 0 equal, 1 a feature or a redelivered row differs or a Pix counted twice, 2 could not be checked.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from jobs.cli import arguments, console, history_wiring, interruption, wiring
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.features.state import State
    from shared.replay.bounds import ReplayPeriod
    from shared.replay.tables import StoredTables

COULD_NOT = 2


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _skew(options), failed=COULD_NOT)


def _skew(options: argparse.Namespace) -> tuple[int, object]:
    from shared.replay.audit import audit

    screen = Console(stderr=True)
    settings = Settings.from_env(os.environ)
    data, period = history_wiring.stored_tables(settings), _period(options)
    start, names = _start(options, settings, data, period)
    with console.bar(screen) as progress:
        result = audit(data, period, start, _advancing(progress))
    if result["features"]:
        screen.print(_table(result["features"]))
    if options.record:
        _record(settings, period, result)
    return (console.OK if result["outcome"] == "EQUAL" else console.FAILED), result | {"snapshots": names}


def _period(options: argparse.Namespace) -> ReplayPeriod | None:
    """Return the period to compare, None for all rows; days are whole ones of UTC, so that those of two runs meet."""
    from shared.replay.bounds import ReplayPeriod

    if options.all:
        return None
    if options.last_days is None:
        return ReplayPeriod(options.since, options.until or wiring.now())
    until = (wiring.now() - options.settle).replace(hour=0, minute=0, second=0, microsecond=0)
    return ReplayPeriod(until - dt.timedelta(days=options.last_days), until)


def _start(
    options: argparse.Namespace, settings: Settings, data: Sequence[StoredTables], period: ReplayPeriod | None
) -> tuple[State, list[str]]:
    """Return the state in which the replay begins, and the names of the snapshots that it is from."""
    from shared.features.state import State
    from shared.replay.bounds import state_before

    if options.state:
        return State.load(options.state), []
    if options.last_days is None or period is None:
        return State.empty(), []
    return state_before(history_wiring.snapshots(settings), data, period, settings.state_record_days)


def _record(settings: Settings, period: ReplayPeriod | None, result: dict[str, Any]) -> None:
    """Append the result to the ledger. All rows are those from the first to the last one, as later ones may come."""
    from shared.learning.lifecycle.comparisons import DayComparison, comparison_row
    from shared.replay.bounds import ReplayPeriod

    of = period or ReplayPeriod(**result["period"])
    wrong = result["rows_with_differences"] + result["skipped"]["without_a_part"] + result["counted_twice"]
    wrong += sum(result[name]["count"] for name in ("unequal_duplicates", "places_taken_twice"))
    found = DayComparison(of.since, of.until, result["compared"], wrong, list(result["features"]))
    wiring.ledger(settings).append(comparison_row(found, wiring.now(), wiring.actor(settings)))


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
        "--last-days",
        type=arguments.positive,
        metavar="N",
        help="compare the Pix of the last N whole days (UTC) that ended --settle hours ago",
    )
    which.add_argument(
        "--from",
        dest="since",
        type=arguments.instant,
        metavar="TIME",
        help="compare the Pix initiated from then on (RFC 3339)",
    )
    parser.add_argument(
        "--to", dest="until", type=arguments.instant, metavar="TIME", help="... and before then (default: now)"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="state of history to start from, written by jobs.replay --state-out. It must be older than the period, "
        "and lacks reports counted after its last transaction",
    )
    parser.add_argument(
        "--settle",
        type=arguments.span,
        default=arguments.span("4"),
        metavar="HOURS",
        help="with --last-days, time after the end of a day for rows that come late (default: 4)",
    )
    parser.add_argument("--record", action="store_true", help="append the result to pix.model_ledger")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
