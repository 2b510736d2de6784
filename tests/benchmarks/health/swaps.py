"""How often the probation after a swap tells of a sound model, in quiet weeks of simulated worlds.

A model is trained, its alerts are foretold on the two weeks after its training, and each quiet day after these is
looked at as the first day of a swap. An institution with a thousand Pix a quarter of an hour has far more of them
than these worlds, so the look at first minutes has the Pix of an hour of the clock, of all quiet days: at night as in
the afternoon. The bands were looked at on a world of another seed (55) than those that are measured here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from infra.local.simulator import SimulationConfig
from shared.learning import config
from shared.learning.config import Config
from shared.learning.data.profile import Profile
from shared.learning.judging.live_rejects import RejectSums
from shared.learning.probation.bands import LOOKS, Findings, Foretold, Seen, look
from shared.learning.training.thresholds import ThresholdRows, thresholds_by_side
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Decision, Rules, by_payee
from shared.scoring.thresholds import SideThresholds
from tests.benchmarks.health.causes_world import DAY, END, CausesWorld, build, trained
from tests.benchmarks.health.part import Found, Part

TRAINED, CHOSEN, FORETOLD, QUIET = 60, 28, 14, 16
"""Days that the model is trained on, the last of them that choose thresholds, days that foretell, quiet days."""
PIX_A_DAY, FRAUD_RATE = 1_500, 0.006
FALSE_MAX = 0.05
"""Share of quiet swaps that may be told of."""
CONFIG = Path(config.__file__).parents[2] / "jobs" / "config.yaml"
_HOURS = 24


class Decided(NamedTuple):
    """Pix as a model and the rules decide them: score, severity, severity by rules, payee's side; all [n]."""

    score: NDArray[np.float64]
    severity: NDArray[np.int8]
    by_rule: NDArray[np.int8]
    payee: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> Decided:
        """Return some of the rows."""
        return Decided._make(column[rows] for column in self)


def run(options: argparse.Namespace) -> Found:
    """Measure the quiet swaps of each world and return the share that is told of."""
    settings = config.load(CONFIG)
    looks = [one for seed in options.swaps_seeds for one in world_looks(seed, options.swaps_pix, settings)]
    for kind, found in looks:
        if found.outside:
            sys.stderr.write(f"false alarm of the first {kind}: {'; '.join(found.outside)}\n")
    shares = {kind: _told([found for own, found in looks if own == kind]) for kind in LOOKS}
    of_swaps = round(1 - float(np.prod([1 - share for share in shares.values()])), 4)
    figures = {
        "looks": len(looks),
        "false_minutes": round(shares[LOOKS[0]], 4),
        "false_days": round(shares[LOOKS[1]], 4),
        "false_probations": of_swaps,
        "psi_max": round(max((found.figures.get("psi_score", 0.0) for _, found in looks), default=0.0), 3),
    }
    return Found(figures, of_swaps <= FALSE_MAX)


def _told(found: list[Findings]) -> float:
    enough = [one for one in found if one.is_enough]
    return float(np.mean([bool(one.outside) for one in enough])) if enough else 0.0


def world_looks(seed: int, pix_a_day: int, settings: Config, quiet: int = QUIET) -> Iterator[tuple[str, Findings]]:
    """Yield the looks of the quiet days of a world, each with its kind."""
    length = TRAINED + FORETOLD + quiet
    simulated = SimulationConfig(END, length * pix_a_day, length, seed=seed, fraud_rate=FRAUD_RATE, labels_until=END)
    yield from looks_of(build(simulated, []), settings, range(TRAINED + FORETOLD, length))


def looks_of(world: CausesWorld, settings: Config, quiet: range) -> Iterator[tuple[str, Findings]]:
    """Yield the looks of the quiet days of a world, after a model of the days before them."""
    files = trained(world, TRAINED, settings)
    bundle, profile = Bundle(files), msgspec.json.decode(files["profile.json"], type=Profile)
    decided = _decided(world, bundle, _thresholds(world, bundle, settings))
    known = decided.take(world.of(TRAINED, TRAINED + FORETOLD))
    foretold = Foretold(profile.score, float((known.severity > 0).mean()))
    spec, costs = settings.probation, settings.costs.by_side
    rows = world.of(quiet.start, quiet.stop)
    hour = world.rows.at[rows] % DAY // (DAY // _HOURS)
    looks = [(LOOKS[0], rows[hour == number]) for number in range(_HOURS)]
    looks += [(LOOKS[1], world.of(number, number + 1)) for number in quiet]
    for kind, own in looks:
        yield kind, look(seen(decided.take(own), profile.score.edges), foretold, spec, costs, kind)


def _thresholds(world: CausesWorld, bundle: Bundle, settings: Config) -> SideThresholds:
    rows = world.of(TRAINED - CHOSEN, TRAINED)
    features = world.rows.features[rows]
    severity = Rules.load().apply(features).severity
    chosen = ThresholdRows(
        bundle.score(features),
        world.fraud[rows],
        world.rows.amount[rows],
        world.rows.at[rows],
        np.ones(len(rows)),
        severity,
        by_payee(features),
    )
    return thresholds_by_side(chosen, settings.costs, settings.split.frauds_min)


def _decided(world: CausesWorld, bundle: Bundle, thresholds: SideThresholds) -> Decided:
    features = world.rows.features
    score, by_rule, payee = bundle.score(features), Rules.load().apply(features).severity, by_payee(features)
    return Decided(score, np.maximum(by_rule, thresholds.reached(score, payee)), by_rule, payee)


def seen(decided: Decided, edges: list[float]) -> Seen:
    """Return what a look sees of decided Pix, between the edges of the profile."""
    counts = np.bincount(np.searchsorted(edges, decided.score, side="left"), minlength=len(edges) + 1)
    alerts = int((decided.severity > 0).sum())
    return Seen(len(decided.score), len(decided.score), alerts, counts.tolist(), dict(_rejects(decided)))


def _rejects(decided: Decided) -> Iterator[tuple[str, RejectSums]]:
    own = (decided.severity == Decision.REJECT) & (decided.by_rule != Decision.REJECT)
    sides: Mapping[str, NDArray[np.bool_]] = {"PAYER": ~decided.payee, "PAYEE": decided.payee}
    for side, rows in sides.items():
        good = 1 - decided.score[rows]
        yield side, RejectSums(float(good.sum()), float(good[own[rows]].sum()))


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--swaps-seeds", type=int, nargs="+", default=[31, 32], help="one world each (default: 31 32)")
    add("--swaps-pix", type=int, default=PIX_A_DAY, metavar="N", help="Pix a day of a world (default: %(default)s)")


FIGURES = ("false_probations",)
PART = Part("swaps", FIGURES, run, _add_options)
