"""Events of one simulation, shared by the tests of this folder."""

import json
from typing import Any

import pytest

from infra.local.simulator import simulate
from tests.unit.infra.local.simulator.simulated import CONFIG


@pytest.fixture(scope="session")
def events() -> list[dict[str, Any]]:
    return [json.loads(line) for line in simulate(CONFIG)]


@pytest.fixture(scope="session")
def transactions(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of the payers' sides."""
    return [event["data"] for event in events if event["topic"] == "pix-transactions" and "side" not in event["data"]]


@pytest.fixture(scope="session")
def of_payees(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of the payees' sides."""
    return [event["data"] for event in events if event["topic"] == "pix-transactions" and "side" in event["data"]]


@pytest.fixture(scope="session")
def outcomes(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["topic"] == "pix-outcomes"]


@pytest.fixture(scope="session")
def feedback(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["topic"] == "pix-feedback"]
