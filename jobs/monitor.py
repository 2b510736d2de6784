"""Measure how the system is doing, and append it to pix.health: all that is due of the last days, each day once.

A day is measured six hours after its end: traffic, decisions, reasons, refused messages, reviews, inputs and score
by their weight in the champion, and performance as the calibrated scores foretell it. Its labels are read 1, 3, 7,
14, 30, 60 and 87 days after its end: the frauds that were let through, projected to maturity by the growth of earlier
days, and in the end over those that were foretold.

An input that moved by more than its habit, weighed by its effect on the score, and a rise of the foretold loss are
DRIFT in the ledger, so that the next `jobs.retrain --trigger auto` trains; a move of a single publisher is
FEATURE_DRIFT. `jobs.explain_drift` finds the causes. A model that rejects more good customers than the ceiling of the
gate allows, or too few frauds among its rejects as their labels come, is REJECT_CEILING.

May be interrupted and repeated: an appended measure is not taken again. The first run of an old world can be given
more days.

Exit codes: 0 done, also where nothing is due, 1 failed; then the next run measures the rest.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.cli import arguments, console, interruption, wiring
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.learning.specs.drift import DriftSpec


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _monitor(options))


def _monitor(options: argparse.Namespace) -> tuple[int, object]:
    from shared.learning import config

    loaded = config.load(options.config)
    if options.base is not None:
        return console.OK, _adherence(options.base, loaded.drift)
    monitor = wiring.monitor(Settings.from_env(os.environ), loaded)
    with console.Steps()("measure") as report:
        return console.OK, monitor.run(options.days, options.as_of or wiring.now(), report)


def _adherence(file: Path, spec: DriftSpec) -> object:
    from shared.errors import Misconfigured
    from shared.learning.data.profile import read_profile
    from shared.learning.lifecycle.pointer import read_pointer
    from shared.learning.monitoring.adherence import adherence, read_base
    from shared.scoring.champion import read_bundle
    from shared.scoring.rules import Rules

    blobs = wiring.blobs(Settings.from_env(os.environ))
    version = read_pointer(blobs).version
    if version is None:
        raise Misconfigured("no model serves, so there is nothing to compare a base with")
    bundle = read_bundle(blobs, version)
    base = read_base(file, bundle.feature_names)
    return adherence(base, bundle, read_profile(blobs, version), Rules.load(), spec)


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("monitor", __doc__)
    parser.add_argument(
        "--days",
        type=arguments.days,
        default=7,
        metavar="N",
        help="measure what is missing of the last N days (default: %(default)s)",
    )
    parser.add_argument(
        "--as-of", type=arguments.past, metavar="TIME", help="measure as of then (RFC 3339, or `now`; default: now)"
    )
    parser.add_argument(
        "--base",
        type=Path,
        metavar="FILE",
        help="measure no days, but how far a base of Pix (Parquet or CSV, features f_NAME, perhaps `verdict` and "
        "`side`) keeps to that of the champion's training: score and inputs, with verdicts log loss and F1",
    )
    arguments.add_config(parser.add_argument, "file with the capacity for reviews and the limits of drift")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
