"""Compare recent traffic with the champion's training data, by the population stability index.

If the index of the score or of a feature is above psi_max in the configuration, a row DRIFT is appended to the
ledger, and the next `jobs.retrain --trigger auto` trains.

Exit codes: 0 done (drift or not, or too few rows to measure it), 1 failed.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from jobs.cli import arguments, console, interruption, wiring
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.learning.lifecycle.drift import Drift

STABLE = 0.1
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

    limit = config.load(options.config).trigger.psi_max
    settings = Settings.from_env(os.environ)
    until = options.as_of or wiring.now()
    source = wiring.drift_source(settings, until - options.hours, until)
    try:
        found = champion_drift(source, wiring.blobs(settings), options.rows_min)
    except NothingToDo as reason:
        return console.OK, {"outcome": "NOTHING_TO_DO", "reasons": [str(reason)]}
    Console(stderr=True).print(_table(found, limit))
    ledger, actor = wiring.ledger(settings), wiring.actor(settings)
    alert = record_drift(found, limit, ledger, wiring.now, actor)
    result = {"outcome": "DRIFT" if alert else "STEADY", "reasons": [alert] if alert else [], "psi_max": limit}
    return console.OK, result | msgspec.structs.asdict(found)


def _table(found: Drift, limit: float) -> Table:
    traffic = found.traffic
    title = (
        f"{found.version}: {traffic.rows:,} Pix, {traffic.degraded:.2%} degraded, {traffic.late:.2%} late, "
        f"{traffic.alerts:.2%} alerts"
    )
    table = Table("", "stability index", "", title=title)
    for name, value in list(found.psi.items())[:LISTED]:
        table.add_row(name, f"{value:.4f}", "drifted" if value > limit else "moved" if value > STABLE else "stable")
    return table


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("drift", __doc__)
    parser.add_argument(
        "--as-of", type=arguments.moment, metavar="TIME", help="end of the period (RFC 3339, or `now`; default: now)"
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
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(__file__).with_name("config.yaml"),
        metavar="FILE",
        help="file that sets psi_max (default: jobs/config.yaml)",
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
