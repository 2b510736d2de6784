"""Let models learn from the labels that their own decisions leave, generation after generation: make bench-learning.

Each world runs three times: open loop (all labels, which nobody has), closed loop, and closed loop with a control
group. Policy, control group, weights, training and gate are those of the product; reviewers and customers those of
the simulator. Left out, in all arms alike: the search (the first candidate of the configuration is trained with its
first parameters), the incremental update, the refit and the suspicions. The last line is JSON; the exit code is 1 if
a figure misses its limit.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from shared.learning import config
from shared.learning.config import Config
from tests.benchmarks.gate import (
    BETTER_MIN,
    FALSE_PROMOTIONS_MAX,
    equals,
    planted,
    planted_better_share,
    planted_wrong,
    spread,
)
from tests.benchmarks.learning.arm import ARMS, ArmName, Generation
from tests.benchmarks.learning.one_world import arms_of
from tests.benchmarks.learning.report import Result, result_of, table_of

TABLE_WIDTH = 170
"""Columns of the table's text; the width that is assumed where the output is not a terminal is half of it."""
REVIEWED = 0.03
"""Share of Pix that may be held for review: the shipped one is smaller than the share of frauds here."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code."""
    options = _parser().parse_args(argv)
    console, started = Console(), time.perf_counter()
    console.width = max(console.width, TABLE_WIDTH)
    settings = config.load(options.config)
    found: dict[ArmName, list[Generation]] = {name: [] for name in ARMS}
    arms = functools.partial(arms_of, options=options, settings=for_worlds(settings))
    for seed, world in zip(options.seeds, spread(arms, options.seeds, options.workers, "worlds"), strict=True):
        for name, generations in world.items():
            found[name] += generations
        print(f"world {seed}: {json.dumps(_figures(result_of(world)))}", file=sys.stderr, flush=True)
    console.print(table_of(found))
    result = result_of(found)
    figures = _figures(result)
    of_gate, is_good = _gate(options, settings)
    console.print(f"{len(options.seeds)} worlds in {(time.perf_counter() - started) / 60:.1f} minutes")
    sys.stdout.write(json.dumps(figures | of_gate) + "\n")
    return 0 if result.good(settings.costs.payer.reject_share_max) and is_good else 1


def _figures(result: Result) -> dict[str, Any]:
    return {name: round(value, 5) for name, value in result._asdict().items()}


def for_worlds(settings: Config) -> Config:
    """Return settings by which a training fits the first candidate once, and the staff for a world of many frauds."""
    search = msgspec.structs.replace(settings.search, trials=1, folds=1)
    payer = msgspec.structs.replace(settings.costs.payer, review_share_max=REVIEWED)
    costs = msgspec.structs.replace(settings.costs, payer=payer)
    return msgspec.structs.replace(
        settings, candidates=settings.candidates[:1], modes=["full"], search=search, costs=costs
    )


def _gate(options: argparse.Namespace, settings: Config) -> tuple[dict[str, Any], bool]:
    """Return the figures of the gate on models whose worth is known, and whether they keep their limits."""
    if options.skip_gate:
        return {"false_promotions_60_looks": None, "planted_wrong": None, "planted_better_share": None}, True
    nights = equals(options.runs, settings, options.workers)
    verdicts = planted(options.planted_seeds, settings, options.workers)
    wrong, better = planted_wrong(verdicts), planted_better_share(verdicts)
    figures = {
        "false_promotions_60_looks": nights.false_promotions,
        "planted_wrong": wrong,
        "planted_better_share": better,
    }
    return figures, nights.false_promotions <= FALSE_PROMOTIONS_MAX and wrong == 0 and better >= BETTER_MIN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.learning",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--seeds", type=int, nargs="+", default=list(range(1, 11)), help="one world each (default: 1 to 10)")
    add("--days", type=int, default=900, help="(default: %(default)s)")
    add("--transactions", type=int, default=400_000, help="Pix of a world (default: %(default)s)")
    add("--generations", type=int, default=6, help="trainings after the first one (default: %(default)s)")
    add("--worlds", type=Path, metavar="DIR", help="keep worlds there, and take those that are there")
    add("--config", type=Path, default=Path("jobs/config.yaml"), help="(default: %(default)s)")
    add("--skip-gate", action="store_true", help="leave out the looks and planted challengers of bench-gate")
    add("--runs", type=int, default=500, help="runs of 60 nightly looks (default: %(default)s)")
    add("--planted-seeds", type=int, default=5, help="seeds of each planted challenger (default: %(default)s)")
    add("--workers", type=int, default=2, help="processes, each of one world at a time (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
