"""Look at the challenger that is tried on live traffic: is it better than the champion, or worse?

Reads the days whose labels have come of age since the last look, each once, and says BETTER, WORSE, NOT_SHOWN or
TOO_FEW by limits that hold at all looks together: it may run every day. Scores alone foretell the saving before
labels come; that is shown and never decides. Each look leaves a point in pix.health, the end of a comparison a row in
the ledger. The consequence is for `contest` of the configuration to say, and follows with --apply alone.

May be interrupted and repeated. Exit codes: 0 done, also where no challenger is tried or another move came first,
1 failed.
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
    return console.run(lambda: _compare(options))


def _compare(options: argparse.Namespace) -> tuple[int, object]:
    from shared.learning import config

    contest = wiring.contest(Settings.from_env(os.environ), config.load(options.config))
    with console.Steps()("compare") as report:
        return console.OK, contest.run(options.as_of or wiring.now(), options.apply, report)


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("compare", __doc__)
    parser.add_argument("--apply", action="store_true", help="promote or drop, as the configuration says")
    parser.add_argument(
        "--as-of", type=arguments.past, metavar="TIME", help="look as of then (RFC 3339, or `now`; default: now)"
    )
    arguments.add_config(parser.add_argument, "file with the costs and the conditions")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
