"""The simulation that the tests of this folder share."""

from datetime import UTC, datetime

from infra.local.simulator import SimulationConfig

END = datetime(2026, 11, 20, 15, tzinfo=UTC)
CONFIG = SimulationConfig(end=END, transactions=15_000, days=45, seed=3, fraud_rate=0.01, both_sides=0.1)


def moment_of(text: str) -> datetime:
    return datetime.fromisoformat(text)
