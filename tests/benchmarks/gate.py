"""Try the gate on models whose worth is known.

    python -m tests.benchmarks.gate --runs 500

Nightly looks at challengers that equal the champion: in how many runs is any of 60 promoted, and how often does the
interval of the first look cover the truth, which is no saving? Planted challengers of known worth at two prevalences:
how many outcomes are right, suspicions of a leak among them? All run through the product's own functions, on
simulated scores. The last line is JSON; the exit code is 1 if a figure misses its limit.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from shared.learning import config
from shared.learning.config import Config
from shared.learning.judging.spread import Measured
from tests.benchmarks.gate_worlds.looks import Nights, equal_nights
from tests.benchmarks.gate_worlds.planted import (
    KINDS,
    SETTINGS,
    WORTH_PROMOTING,
    Kind,
    Planted,
    Setting,
    judged,
    policies,
)
from tests.benchmarks.gate_worlds.world import World

CONFIG = Path("jobs/config.yaml")
NIGHTS = 60
FALSE_PROMOTIONS_MAX, BETTER_MIN = 0.05, 0.8
FRAUDS = (100, 200, 400)
"""Frauds in a test period, by turns over the runs."""
Job = TypeVar("Job")
Result = TypeVar("Result")


class Equals(NamedTuple):
    """Nightly looks at equals: the share of runs with a promotion, and that of nights.

    The coverages are of central intervals at the gate's confidence; `error_ratio` is the standard error of the
    expected saving over that of the realised one, the median over the runs.
    """

    runs: int
    false_promotions: float
    nights: float
    expected_coverage: float
    realised_coverage: float
    error_ratio: float


def equals(runs: int, settings: Config, workers: int = 1) -> Equals:
    """Return the results of `runs` of 60 nightly looks at challengers that equal the champion."""
    jobs = [(SETTINGS[i % 2], FRAUDS[i // 2 % len(FRAUDS)], i) for i in range(runs)]
    found = list(spread(functools.partial(_nights, settings), jobs, workers, "runs of 60 nights"))
    expected, realised = ([getattr(one.first, name) for one in found] for name in ("expected", "realised"))
    confidence = settings.gate.confidence
    return Equals(
        runs,
        float(np.mean([bool(one.promoted) for one in found])),
        float(np.mean([len(one.promoted) / NIGHTS for one in found])),
        _coverage(expected, confidence),
        _coverage(realised, confidence),
        float(np.median([one.error / other.error for one, other in zip(expected, realised, strict=True)])),
    )


def planted(seeds: int, settings: Config, workers: int = 1) -> list[Planted]:
    """Return the verdicts on all planted challengers, at both prevalences."""
    jobs: list[tuple[Kind, Setting, int]] = [
        (kind, setting, seed) for setting in SETTINGS for kind in KINDS for seed in range(seeds)
    ]
    return list(spread(functools.partial(_judged, settings), jobs, workers, "planted challengers"))


def planted_wrong(found: Iterable[Planted]) -> int:
    """Return the number of promotions that are wrong."""
    return sum(one.promoted and one.kind not in WORTH_PROMOTING for one in found)


def planted_better_share(found: Iterable[Planted]) -> float:
    """Return the share of better challengers that are promoted."""
    return float(np.mean([one.promoted for one in found if one.kind in WORTH_PROMOTING]))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=500, help="runs of 60 nightly looks (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each planted case (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    options = parser.parse_args(argv)
    settings, start = config.load(CONFIG), time.perf_counter()
    verdicts = planted(options.seeds, settings, options.workers)
    for setting in SETTINGS:
        for kind in KINDS:
            print(_line(setting, kind, verdicts))
    nights = equals(options.runs, settings, options.workers)
    wrong, better = planted_wrong(verdicts), planted_better_share(verdicts)
    figures: dict[str, Any] = {
        "false_promotions_60_looks": nights.false_promotions,
        "planted_wrong": wrong,
        "planted_better_share": better,
        "planted_right": sum(one.right for one in verdicts),
        "planted": len(verdicts),
        **{name: value for name, value in nights._asdict().items() if name != "false_promotions"},
        "seconds": round(time.perf_counter() - start, 1),
    }
    print(json.dumps(figures))
    return int(nights.false_promotions > FALSE_PROMOTIONS_MAX or wrong > 0 or better < BETTER_MIN)


def _nights(settings: Config, job: tuple[Setting, int, int]) -> Nights:
    setting, frauds, seed = job
    policy = policies(setting, settings.costs.payer).champion
    return equal_nights(World(setting.prevalence), policy, setting.champion, frauds, NIGHTS, settings, seed)


def _judged(settings: Config, job: tuple[Kind, Setting, int]) -> Planted:
    return judged(*job, settings)


def spread(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, name: str) -> Iterator[Result]:
    """Yield the results of jobs in order, by so many processes, and show how many are done."""
    # Spawned, not forked: OpenMP stops for good in a fork of a process in which it has run.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for done, result in enumerate(pool.map(work, jobs), start=1):
            if done % max(len(jobs) // 10, 1) == 0 or done == len(jobs):
                print(f"{done} of {len(jobs)} {name}", file=sys.stderr, flush=True)
            yield result


def _coverage(found: Sequence[Measured], confidence: float) -> float:
    intervals = [one.interval(confidence) for one in found]
    return float(np.mean([one.low <= 0 <= one.high for one in intervals]))


def _line(setting: Setting, kind: Kind, verdicts: Sequence[Planted]) -> str:
    own = [one for one in verdicts if (one.kind, one.setting) == (kind, setting)]
    named = Counter("SUSPECTED" if one.suspicions else one.verdict.outcome for one in own)
    outcomes = ", ".join(f"{count} {name}" for name, count in named.items())
    saved = float(np.mean([one.verdict.saving for one in own]))
    right = f"{sum(one.right for one in own)} of {len(own)} right: {outcomes}"
    return f"{setting.prevalence:8.5f}  {kind:24}{right}; saving R$ {saved:,.0f} per million Pix"


if __name__ == "__main__":
    sys.exit(main())
