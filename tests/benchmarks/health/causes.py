"""Whether planted causes are found, quiet days are quiet, and frauds foretold come true, on a simulated world.

The limits of the product were set on worlds of other seeds (101 and more) than those that are measured here. The
coverage is that of a day's frauds by their 90 % interval, whose dispersion is learnt on the days from training to the
day before; so their labels are taken as known at once, not after 87 days.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from infra.local.simulator import SimulationConfig
from shared.learning import config
from shared.learning.config import Config
from shared.learning.data.profile import Profile
from shared.learning.monitoring.causes.ranking import DriftCause, causes
from shared.learning.monitoring.causes.rows import REFERENCE_DAYS
from shared.learning.monitoring.day_inputs import DayInputs, anchors_of, count_day
from shared.learning.monitoring.dispersion import DayCount, dispersion
from shared.learning.monitoring.estimate import ScoreSums, expected_frauds
from shared.learning.monitoring.inputs import alerts, measure
from shared.scoring.bundle import Bundle
from tests.benchmarks.health.causes_world import END, CausesWorld, build, trained
from tests.benchmarks.health.part import Found, Part
from tests.benchmarks.health.planted import PLANTED, SCAM, Planted

TRAINED, SERVED, QUIET, APART = 90, 28, 30, 8
"""Days that the model is trained on, days after them that the dispersion of frauds is first learnt from, quiet days
that are measured, and days from one planted day to the next."""
PIX_A_DAY, FRAUD_RATE = 1_000, 0.006
FIRST = 2
"""A cause counts as found if it is among so many of the ranking."""
FOUND_MIN = 0.9
CONFIG = Path(config.__file__).parents[2] / "jobs" / "config.yaml"


class WorldFigures(NamedTuple):
    """Of a world: titles of planted causes that were found and missed, quiet days with an alarm, and coverage."""

    found: list[str]
    missed: list[str]
    alarms: list[str]
    covered: list[bool]


def run(options: argparse.Namespace) -> Found:
    """Measure each world and return the figures of all."""
    settings = config.load(CONFIG)
    worlds = [world_figures(seed, options.causes_pix, settings) for seed in options.causes_seeds]
    missed = [title for one in worlds for title in one.missed]
    alarms = [alarm for one in worlds for alarm in one.alarms]
    for line in (*(f"missed: {title}" for title in missed), *(f"false alarm: {alarm}" for alarm in alarms)):
        sys.stderr.write(line + "\n")
    number = sum(len(one.found) for one in worlds) + len(missed)
    coverage = float(np.mean([covered for one in worlds for covered in one.covered]))
    figures = {
        "causes": number,
        "causes_found": number - len(missed),
        "false_alarms_30_days": len(alarms),
        "estimate_coverage": round(coverage, 3),
    }
    return Found(figures, number - len(missed) >= FOUND_MIN * number and not alarms)


def world_figures(
    seed: int, pix_a_day: int, settings: Config, planted: Sequence[Planted] = PLANTED, days: int = TRAINED
) -> WorldFigures:
    """Return the figures of a world of a seed; `days` are those before the quiet ones."""
    first = days + SERVED
    length = first + QUIET + APART * len(planted)
    plants = [(first + QUIET + APART // 2 + APART * number, one) for number, one in enumerate(planted)]
    simulated = SimulationConfig(END, length * pix_a_day, length, seed=seed, fraud_rate=FRAUD_RATE, labels_until=END)
    world = build(simulated, plants)
    files = trained(world, days, settings)
    bundle, profile = Bundle(files), msgspec.json.decode(files["profile.json"], type=Profile)
    found, missed = list[str](), list[str]()
    for day, one in plants:
        rows, before = (world.rows.take(world.of(*ends)) for ends in ((day, day + 1), (day - REFERENCE_DAYS, day)))
        ranked = causes(bundle, rows, before, len(rows))[1][:FIRST]
        (found if is_found(one, ranked) else missed).append(one.title)
    quiet = range(first, first + QUIET)
    return WorldFigures(
        found, missed, quiet_alarms(world, bundle, profile, settings, quiet), covered(world, bundle, days, quiet)
    )


def is_found(planted: Planted, ranked: Sequence[DriftCause]) -> bool:
    """Return whether one of the first causes is the planted one.

    Of a cause in the traffic, which has no source, it is of traffic and nobody's alone; of the scam its examples are.
    """
    if planted.source is None:
        own = [one for one in ranked if one.kind == "TRAFFIC" and one.publisher is None]
        wanted = SCAM if "scam" in planted.title else ""
        return any(2 * sum(wanted in example for example in one.examples) >= len(one.examples) for one in own)
    truth = (planted.source, planted.publisher, planted.kind)
    return truth in [(one.source, one.publisher, one.kind) for one in ranked]


def quiet_alarms(world: CausesWorld, bundle: Bundle, profile: Profile, settings: Config, quiet: range) -> list[str]:
    """Return the alarms of quiet days, each by the days before it, as `jobs.monitor` gives them."""
    known, found = list[DayInputs](), list[str]()
    for number in range(max(1, quiet.start - settings.drift.remembered_days), quiet.stop):
        rows = world.rows.take(world.of(number, number + 1))
        before = known[-settings.drift.remembered_days :]
        day = count_day(
            world.day(number),
            bundle.version,
            profile,
            anchors_of(before, profile),
            rows.features,
            rows.publisher.tolist(),
            bundle.score(rows.features),
            rows.amount,
            rows.form.tolist(),
        )
        if number in quiet:
            moves = measure(day, before, profile, settings.drift).moves
            found += [f"{day.day:%F} {one.reason}" for one in alerts(day, before, profile, settings.drift, moves)]
        known.append(day)
    return found


def covered(world: CausesWorld, bundle: Bundle, trained: int, quiet: range) -> list[bool]:
    """Return of each quiet day whether the frauds confirmed lie in the interval that its scores foretell.

    `trained` is the first day after those that the bundle was trained on.
    """
    known, found = list[DayCount](), list[bool]()
    for number in range(trained, quiet.stop):
        own = world.of(number, number + 1)
        scores, frauds = bundle.score(world.rows.features[own]), float(world.fraud[own].sum())
        day = DayCount(float(scores.sum()), float((scores * (1 - scores)).sum()), frauds)
        if number in quiet:
            sums = ScoreSums(len(own), 0, day.expected, day.spread, 0, 0, 0, 0)
            interval = expected_frauds(sums, dispersion(known)).interval
            found.append(interval.low <= frauds <= interval.high)
        known.append(day)
    return found


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--causes-seeds", type=int, nargs="+", default=[7], help="one world each (default: 7)")
    parser.add_argument(
        "--causes-pix", type=int, default=PIX_A_DAY, metavar="N", help="Pix a day of a world (default: %(default)s)"
    )


FIGURES = ("causes", "causes_found", "false_alarms_30_days", "estimate_coverage")
PART = Part("causes", FIGURES, run, _add_options)
