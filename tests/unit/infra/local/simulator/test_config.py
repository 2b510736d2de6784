"""Sizes of a simulation."""

from typing import Any

import pytest

from infra.local.simulator import SimulationConfig, SimulationError
from tests.unit.infra.local.simulator.simulated import END


@pytest.mark.parametrize(
    "wrong",
    [
        {"transactions": 0},
        {"days": 0},
        {"fraud_rate": 0.5},
        {"customers": 3},
        {"seed": -1},
        {"med2": 1.5},
        {"both_sides": -0.1},
    ],
)
def test_impossible_sizes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SimulationError):
        SimulationConfig(end=END, **wrong)
