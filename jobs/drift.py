"""Compare what was scored lately with what the champion was trained on, by the population stability index.

Where the index of the score or of a feature is above psi_max in the configuration, a row DRIFT goes into the ledger:
the next `jobs.retrain --trigger auto` then trains.

Exit codes: 0 done (drift or not, or too few rows to say), 1 failed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from jobs.cli import arguments, console, wiring
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.learning.lifecycle.drift import Drift

STABLE = 0.1
LISTED = 15

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _drift(options))


def _drift(options: argparse.Namespace) -> tuple[int, object]:
    import msgspec

    from shared.learning import config
    from shared.learning.errors import NothingToDo
    from shared.learning.lifecycle.drift import measure, told
    from shared.learning.lifecycle.pointer import standing

    limit = config.load(options.config).trigger.psi_max
    settings = Settings.from_env(os.environ)
    until = options.as_of or wiring.now()
    recent = wiring.recent(settings, until - options.hours, until)
    blobs = wiring.blobs(settings)
    try:
        version = standing(blobs).version
        if version is None:
            raise NothingToDo("no model serves")
        found = measure(recent, blobs, version, options.rows_min)
    except NothingToDo as reason:
        return console.OK, {"outcome": "NOTHING_TO_DO", "reasons": [str(reason)]}
    Console(stderr=True).print(_table(found, limit))
    alert = told(found, limit)
    if alert:
        _alert(found, alert, settings)
    result = {"outcome": "DRIFT" if alert else "STEADY", "reasons": [alert] if alert else [], "psi_max": limit}
    return console.OK, result | msgspec.structs.asdict(found)


def _alert(found: Drift, reason: str, settings: Settings) -> None:
    """Say in the log and in the ledger that the champion's inputs or scores have drifted."""
    import msgspec

    from shared.contract.event import micros
    from shared.contract.rows import LedgerRow
    from shared.learning.lifecycle.drift import figures

    log.warning("drift", extra={"fields": {"version": found.version, "reason": reason, **figures(found)}})
    row = LedgerRow(
        recorded_at=micros(wiring.now()),
        action="DRIFT",
        actor=wiring.actor(os.environ),
        reason=reason,
        to_version=found.version,
        metrics=msgspec.json.encode(figures(found)).decode(),
        as_of=micros(found.until),
    )
    wiring.ledger(settings).append(row)


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
        "--as-of", type=arguments.moment, metavar="TIME", help="up to then (RFC 3339, or `now`; default: now)"
    )
    parser.add_argument(
        "--hours", type=arguments.span, default="24", metavar="N", help="so many hours before (default: %(default)s)"
    )
    parser.add_argument(
        "--rows-min",
        type=arguments.positive,
        default=1000,
        metavar="N",
        help="fewer rows say nothing (default: %(default)s)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(__file__).with_name("config.yaml"),
        metavar="FILE",
        help="where psi_max is set (default: jobs/config.yaml)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
