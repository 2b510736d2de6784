"""Train a challenger on what was served, compare it with the champion, publish it, and swap it in if the gate agrees.

Exit codes: 0 done (also: nothing to do, or the champion stays), 1 failed, 3 somebody else swapped first.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from pathlib import Path

from jobs import console, wiring
from shared.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(arguments)
    wiring.prepare(os.environ)
    return console.run(lambda: _retrain(options))


def _retrain(options: argparse.Namespace) -> tuple[int, object]:
    import msgspec

    steps = console.Steps()
    with steps("start"):
        from shared.learning import config
        from shared.learning.retraining import Request, retrain

        settings = config.load(options.config)
        world = wiring.world(Settings.from_env(os.environ), os.environ)
    request = Request(options.as_of or wiring.now(), options.trigger, wiring.actor(os.environ), options.promote)
    outcome = retrain(world, settings, request, steps)
    code = console.LOST if outcome.outcome == "SWAP_LOST" else console.OK
    result = msgspec.structs.asdict(outcome)
    return code, result | {"seconds": round(sum(steps.seconds.values()), 1), "steps": steps.seconds}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.retrain",
        description=__doc__,
        epilog="The project, bucket and dataset come from the environment; see shared/settings.py. "
        "The last line of standard output is the outcome as JSON.",
    )
    parser.add_argument(
        "--as-of",
        type=_moment,
        metavar="TIME",
        help="train on what was known then (RFC 3339, or `now`; default: now)",
    )
    parser.add_argument(
        "--trigger",
        choices=["schedule", "labels", "drift", "manual"],
        default="manual",
        help="why it runs; recorded (default: %(default)s)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(__file__).with_name("config.yaml"),
        metavar="FILE",
        help="candidates, split, costs and gate (default: jobs/config.yaml)",
    )
    parser.add_argument(
        "--promote",
        choices=["gate", "never", "always"],
        default="gate",
        help="who decides about the swap: the gate, nobody, or you (recorded as a decision by hand)",
    )
    return parser


def _moment(text: str) -> dt.datetime | None:
    """Return a moment with its time zone; None for `now`."""
    if text == "now":
        return None
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


if __name__ == "__main__":
    sys.exit(main())
