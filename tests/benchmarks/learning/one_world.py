"""All arms on one world: the work of a process, which imports this module by its name."""

from __future__ import annotations

import argparse

from infra.local.simulator import SimulationConfig
from shared.learning.config import Config
from tests.benchmarks.learning.arm import ARMS, Arm, ArmName, Generation, Plan
from tests.benchmarks.learning.serving import rules_without_reports
from tests.benchmarks.learning.world import build
from tests.benchmarks.long_world.world import END

FIRST = 230.0
"""Day of the first training: some 140 days without a model have matured."""
FRAUD_RATE = 0.02
"""Share of frauds: far above the true one, so that the test periods of a small world have hundreds of them."""


def arms_of(seed: int, options: argparse.Namespace, settings: Config) -> dict[ArmName, list[Generation]]:
    """Return the generations of each arm on one world."""
    trainings = options.generations + 1
    plan = Plan(FIRST, (options.days - FIRST) / trainings, trainings)
    simulation = SimulationConfig(
        END,
        options.transactions,
        options.days,
        seed=seed,
        fraud_rate=FRAUD_RATE,
        hop_reports=False,
        labels_until=END,
    )
    world, rules = build(simulation, options.worlds), rules_without_reports()
    return {name: list(Arm(name, world, rules, settings, plan).generations()) for name in ARMS}
