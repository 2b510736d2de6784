"""Compare recent traffic with that of the days before, and its score with the champion's first days.

If the score is too far from the days after the swap, a row DRIFT is appended to the ledger, and the next
`jobs.retrain --trigger auto` trains. If a feature has moved further than its own habit, the row is FEATURE_DRIFT: an
alert for a person. Each period is remembered in the bucket of rows; until some weeks are, little is compared.

Exit codes: 0 done (drift or not, or too few rows to measure it), 1 failed.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from jobs.cli import arguments, console, interruption, wiring
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.learning.lifecycle.drift import Drift

LISTED = 15


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _drift(options))


def _drift(options: argparse.Namespace) -> tuple[int, object]:
    import msgspec

    from shared.learning import config
    from shared.learning.errors import NothingToDo
    from shared.learning.lifecycle.drift import champion_drift, record_drift

    spec = config.load(options.config).drift
    settings = Settings.from_env(os.environ)
    until = options.as_of or wiring.now()
    source = wiring.drift_source(settings, until - options.hours, until)
    try:
        found = champion_drift(source, wiring.blobs(settings), wiring.data(settings), spec, options.rows_min)
    except NothingToDo as reason:
        return console.OK, {"outcome": "NOTHING_TO_DO", "reasons": [str(reason)]}
    Console(stderr=True).print(_table(found))
    alerts = record_drift(found, wiring.ledger(settings), wiring.now, wiring.actor(settings))
    result = {"outcome": "DRIFT" if alerts else "STEADY", "reasons": alerts}
    return console.OK, result | msgspec.structs.asdict(found)


def _table(found: Drift) -> Table:
    traffic = found.traffic
    title = (
        f"{found.version}: {traffic.rows:,} Pix, {traffic.degraded:.2%} degraded, {traffic.late:.2%} late, "
        f"{traffic.alerts:.2%} alerts"
    )
    table, drifted = Table("", "stability index", "limit", "", title=title), found.drifted()
    for name, value in list(found.psi.items())[:LISTED]:
        limit = found.limits.get(name)
        known = ("unknown", "habit not known yet") if limit is None else (f"{limit:.4f}", "stable")
        table.add_row(name, f"{value:.4f}", known[0], "drifted" if name in drifted else known[1])
    return table


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("drift", __doc__)
    parser.add_argument(
        "--as-of", type=arguments.past, metavar="TIME", help="end of the period (RFC 3339, or `now`; default: now)"
    )
    parser.add_argument(
        "--hours", type=arguments.span, default="24", metavar="N", help="length of the period (default: %(default)s)"
    )
    parser.add_argument(
        "--rows-min",
        type=arguments.positive,
        default=1000,
        metavar="N",
        help="fewest rows to measure drift on (default: %(default)s)",
    )
    arguments.add_config(parser.add_argument, "file with the limits of drift")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
