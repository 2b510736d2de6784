"""A small world of Pix customers, shops and fraudsters that writes events of the public contract.

from infra.local.simulator import SimulationConfig, simulate
for line in simulate(SimulationConfig(end=datetime(2026, 11, 20, tzinfo=UTC), transactions=10_000, days=30)):
    ...
"""

from infra.local.simulator.config import SimulationConfig, SimulationError
from infra.local.simulator.run import Simulation, simulate

__all__ = ["Simulation", "SimulationConfig", "SimulationError", "simulate"]
