"""Watch a model that has just begun to serve: does it decide as the gate foretold?

After each move of the pointer there are two looks, at the first minutes and at the first day: golden vectors, the
share of decisions that are the model's, the distribution of its scores against the bundle's profile, and its alerts
against those on its card, and the good customers that it rejects against the gate's ceiling. Each is a row of the
ledger: PROBATION_PASSED, PROBATION_FAILED or PROBATION_TOO_FEW. Outside of a band a person is told, or the version
before serves again, as `probation` of the configuration says; a rollback is only told.

Made to run every few minutes: without a look that is due it reads the pointer and ends. Exit codes: 0 done, 1 failed.
"""

from __future__ import annotations

import argparse
import os

from jobs.cli import arguments, console, interruption, wiring
from shared.settings import Settings


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _probation(options))


def _probation(options: argparse.Namespace) -> tuple[int, object]:
    from shared.learning import config

    loaded = config.load(options.config)
    return console.OK, wiring.probation(Settings.from_env(os.environ), loaded).run(wiring.now())


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("probation", __doc__)
    arguments.add_config(parser.add_argument, "file with the bands")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
