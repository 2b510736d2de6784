"""Simulations have the configured size, order and kinds of payment."""

import json
from datetime import timedelta
from typing import Any

import pytest

from infra.local.simulator import Simulation, SimulationConfig, simulate
from infra.local.simulator.config import FIRST_FRAUD, Kind
from tests.unit.infra.local.simulator.simulated import CONFIG, END, moment_of


def test_the_number_of_transactions_is_exact_and_they_fill_the_period(transactions: list[dict[str, Any]]) -> None:
    assert len(transactions) == 15_000
    moments = [moment_of(tx["initiated_at"]) for tx in transactions]
    assert END - timedelta(days=45) <= moments[0] < END - timedelta(days=44)
    assert END - timedelta(days=1) < moments[-1] < END


def test_events_come_in_time_order(events: list[dict[str, Any]]) -> None:
    fields = {"pix-transactions": "initiated_at", "pix-outcomes": "at", "pix-feedback": "reported_at"}
    moments = [event["data"][fields[event["topic"]]] for event in events]
    assert moments == sorted(moments)
    assert {event["topic"] for event in events} == set(fields)


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.02])
def test_the_fraud_rate_is_met(rate: float) -> None:
    simulation = Simulation(SimulationConfig(end=END, transactions=12_000, days=30, seed=5, fraud_rate=rate))
    assert sum(len(day) for day in simulation.days()) > 12_000
    frauds = sum(simulation.kinds[kind.name] for kind in Kind if kind >= FIRST_FRAUD)
    assert frauds == pytest.approx(12_000 * rate, rel=0.15, abs=6)


def test_every_kind_of_payment_occurs() -> None:
    simulation = Simulation(CONFIG)
    assert sum(1 for _ in simulation.lines()) > CONFIG.transactions
    assert {name for name, count in simulation.kinds.items() if count} == {kind.name for kind in Kind}


def test_reviewers_can_know_every_fraud_and_mule_transfer_once_its_pix_is_told() -> None:
    simulation = Simulation(SimulationConfig(end=END, transactions=3_000, days=10, seed=5, fraud_rate=0.05))
    told: set[str] = set()
    for line in simulation.lines():
        event = json.loads(line)
        if event["topic"] == "pix-transactions":
            told.add(event["data"]["end_to_end_id"])
        elif event["data"].get("source") == "MED" and event["data"]["hop"] == 2:
            assert simulation.frauds[event["data"]["end_to_end_id"]] == "OTHER"
    stolen = sum(simulation.kinds[kind.name] for kind in Kind if kind >= Kind.MULE_TRANSFER)
    assert len(simulation.frauds) == stolen > 100
    assert simulation.frauds.keys() <= told
    assert {"SCAM", "ACCOUNT_TAKEOVER", "OTHER"} <= set(simulation.frauds.values())


def test_another_seed_gives_another_world() -> None:
    first, second = (
        b"".join(simulate(SimulationConfig(end=END, transactions=500, days=3, seed=seed))) for seed in (1, 2)
    )
    assert first != second


def test_a_tiny_and_a_long_simulation_run_to_the_end() -> None:
    for transactions, days, customers in ((1, 1, None), (40, 30, 50), (3_000, 500, 60)):
        config = SimulationConfig(end=END, transactions=transactions, days=days, customers=customers)
        lines = list(simulate(config))
        assert sum(b'"pix-transactions"' in line for line in lines) == transactions
