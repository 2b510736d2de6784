"""Publish dead letters again, once their cause is mended: those of one topic.

Each letter that was there at the start is published to its topic once, with its bytes and attributes, and removed
when that is confirmed. A letter published twice, as after a crash, is scored once. Letters that die during the run
wait for the next one; a letter redriven --times times stays, because another redrive will not help.

Exit codes: 0 done, 1 failed, 128 plus the number of the signal that interrupted it. Letters not redriven are still
there.
"""

from __future__ import annotations

import argparse
import os
from contextlib import closing

from jobs.cli import arguments, console, interruption, wiring
from shared.contract import topics
from shared.operations.redrive import Redrive, Redriven
from shared.settings import Settings

TOPICS = {topic.removeprefix("pix-"): topic for topic in topics.TOPICS}


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _redrive(options))


def _redrive(options: argparse.Namespace) -> tuple[int, Redriven]:
    settings = Settings.from_env(os.environ)
    result = Redriven(TOPICS[options.topic], options.dry_run)
    try:
        with closing(wiring.dead_letters(settings, result.topic)) as letters, console.bar() as progress:
            task = progress.add_task("count" if options.dry_run else "redrive", total=options.max)
            Redrive(letters, result, wiring.now(), options.times).run(
                options.max, lambda count: progress.advance(task, count)
            )
    except interruption.Interrupted as interrupted:
        result.outcome = console.INTERRUPTED
        return console.report(interrupted), result
    return console.OK, result


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("redrive", __doc__)
    parser.add_argument("topic", choices=TOPICS, help="the topic of the dead letters")
    parser.add_argument(
        "--max", type=arguments.positive, metavar="N", help="redrive at most N letters (default: all)"
    )
    parser.add_argument(
        "--times",
        type=arguments.positive,
        default=3,
        metavar="N",
        help="leave letters that were redriven N times (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="count only; publish and remove nothing")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
