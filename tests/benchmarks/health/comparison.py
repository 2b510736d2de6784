"""The comparison that may be looked at every day, on challengers whose worth is known."""

from __future__ import annotations

import argparse
import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median

from shared.learning import config
from shared.learning.config import Config
from shared.learning.specs.gate import CostSpec
from tests.benchmarks.gate import spread
from tests.benchmarks.health.contests import CHAMPION, Ended, Player, cheaper_by, lenient, player, run
from tests.benchmarks.health.part import Figure, Found, Part

LOOKS, FALSE_PROMOTIONS_MAX, POWER_MIN = 60, 0.05, 0.5
FRAUDS_A_DAY = (10, 50, 200)
"""Frauds of a day, by turns over the runs: of 10,000 to 200,000 Pix."""
USUAL = 50
"""Frauds of a day at which power and days are stated."""
CHEAPER = 0.1
FIRST_SEED = 900_000
"""No run of these seeds was looked at while the comparison was made."""


def compared(options: argparse.Namespace) -> Found:
    """Return false promotions of two challengers that save nothing, and power and days for one that is cheaper."""
    settings = config.load(options.config)
    equal = _runs(settings, _champion, options.runs, FRAUDS_A_DAY, options.workers, "equal")
    of_lenient = _runs(settings, lenient, options.runs // 5, FRAUDS_A_DAY, options.workers, "lenient")
    cheaper = _runs(settings, _cheaper, options.runs // 5, (USUAL,), options.workers, "cheaper")
    promoted = sorted(one.day for one in cheaper if one.outcome == "BETTER")
    days = _days_to_promote(promoted, len(cheaper), settings)
    figures: dict[str, Figure] = {
        "runs": options.runs,
        "false_promotions_60_looks": _share(equal),
        "false_promotions_lenient": _share(of_lenient),
        "false_drops_60_looks": Counter(one.outcome for one in equal)["WORSE"] / len(equal),
        "power_60_looks": len(promoted) / len(cheaper),
        "days_to_promote": days,
    }
    good = max(_share(equal), _share(of_lenient)) <= FALSE_PROMOTIONS_MAX and len(promoted) >= POWER_MIN * len(
        cheaper
    )
    return Found(figures, good)


def _days_to_promote(promoted: list[int], runs: int, settings: Config) -> int | None:
    """Return the median days from the start of the shadow, labels included; None if half of the runs end without."""
    days = [*promoted, *([LOOKS + 1] * (runs - len(promoted)))]
    middle = median(days)
    return None if middle > LOOKS else round(middle) + settings.contest.label_age_days


def _runs(
    settings: Config,
    challenger: Callable[[CostSpec], Player],
    runs: int,
    frauds: tuple[int, ...],
    workers: int,
    what: str,
) -> list[Ended]:
    jobs = [(frauds[i % len(frauds)], FIRST_SEED + i) for i in range(runs)]
    return list(spread(functools.partial(_run, settings, challenger), jobs, workers, f"{what} challengers"))


def _run(settings: Config, challenger: Callable[[CostSpec], Player], job: tuple[int, int]) -> Ended:
    spec = settings.costs.payer
    return run(challenger(spec), _champion(spec), job[0], LOOKS, settings, job[1])


@functools.cache
def _champion(spec: CostSpec) -> Player:
    return player(CHAMPION, spec)


def _cheaper(spec: CostSpec) -> Player:
    return cheaper_by(CHEAPER, spec)


def _share(runs: list[Ended]) -> float:
    return sum(one.outcome == "BETTER" for one in runs) / len(runs)


def _options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--runs", type=int, default=500, help="runs of 60 daily looks at an equal challenger (default: %(default)s)")
    add("--config", type=Path, default=Path("jobs/config.yaml"), help="(default: %(default)s)")


PART = Part("comparison", ("false_promotions_60_looks", "days_to_promote"), compared, _options)
