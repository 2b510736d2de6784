"""Try a challenger on live traffic: in the shadow, for a share of accounts, or by a ramp with guards.

In the shadow it scores every Pix beside the champion, and decides none. With a share it decides for some paying
accounts, always the same ones, and a ramp raises that share step by step, as ramp.stages of the settings say. Columns
of pix.scores have its score and decision, the arm that decided, and the chance of that arm.

  python -m jobs.challenge VERSION --shadow
  python -m jobs.challenge VERSION --share 0.1
  python -m jobs.challenge VERSION --ramp
  python -m jobs.challenge --status
  python -m jobs.challenge --stop --reason "enough seen"

The functions follow within seconds. --watch, on a schedule, takes the steps of a ramp when they are due, and ends any
test of which a guard trips (ramp.guards, and the gate's ceilings on rejects): the champion decides alone again.
jobs.promote and jobs.rollback end it, too, as it is a test against the version that served. Each step is a row of
pix.model_ledger, and says why.

Exit codes: 0 done, also where nothing was to change, 1 refused or failed, or the ledger could not be written
(`recorded` is false: the next command writes the row), 3 another job moved the pointer first.
"""

from __future__ import annotations

import argparse
import logging
import os
from typing import TYPE_CHECKING

from jobs.cli import arguments, console, interruption, wiring
from shared.errors import PreconditionFailed
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.learning.config import Config
    from shared.learning.lifecycle.challenge import ChallengeCommands, ChallengeResult
    from shared.learning.specs.ramp import RampSpec

log = logging.getLogger(__name__)


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    begins = options.shadow or options.share is not None or options.ramp
    if begins and not options.version:
        parser.error("name the VERSION to try")
    if options.version and (options.watch or options.status):
        parser.error("--watch and --status are about the test that runs: name no VERSION")
    wiring.prepare(os.environ)
    return console.run(lambda: _challenge(options))


def _challenge(options: argparse.Namespace) -> tuple[int, object]:
    from shared.learning import config

    loaded = config.load(options.config)
    commands = wiring.challenge(Settings.from_env(os.environ))
    try:
        found = _watched(commands, loaded) if options.watch else _done(commands, options, loaded.ramp)
    except PreconditionFailed as error:
        return console.LOST, {"outcome": "MOVE_LOST", "version": options.version, "reasons": [str(error)]}
    return console.OK if found.recorded else console.FAILED, found


def _done(commands: ChallengeCommands, options: argparse.Namespace, spec: RampSpec) -> ChallengeResult:
    if options.status:
        return commands.status(spec)
    if options.stop:
        return commands.stop(options.reason, options.version)
    if options.ramp:
        return commands.ramp(options.version, spec, options.reason)
    return commands.begin(options.version, options.share or 0.0, options.reason)


def _watched(commands: ChallengeCommands, loaded: Config) -> ChallengeResult:
    found = commands.watch(loaded.ramp, loaded.costs.by_side)
    if found.outcome == "TRIPPED":
        log.error("challenge ended by a guard", extra={"fields": {"reason": found.reason}})
    return found


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("challenge", __doc__)
    parser.add_argument("version", metavar="VERSION", nargs="?", help="a folder under models/ in the bucket")
    steps = parser.add_mutually_exclusive_group(required=True)
    steps.add_argument("--shadow", action="store_true", help="score every Pix by it, decide none")
    steps.add_argument("--share", type=arguments.share, metavar="SHARE", help="decide for this share of accounts")
    steps.add_argument("--ramp", action="store_true", help="decide for a share that grows by the schedule of ramps")
    steps.add_argument("--stop", action="store_true", help="end the test (with VERSION: only if it is that one's)")
    steps.add_argument("--status", action="store_true", help="show the test and the counts of its arms")
    steps.add_argument("--watch", action="store_true", help="look at the guards, and take a step that is due")
    parser.add_argument("--reason", default="by hand", help="for the ledger (default: %(default)s)")
    arguments.add_config(parser.add_argument, "file with the steps and guards of ramps")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
