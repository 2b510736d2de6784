"""Events of one simulation, shared by the tests of this folder."""

import json

import pytest

from infra.local.simulator import simulate
from tests.unit.infra.local.simulator.simulated import CONFIG


@pytest.fixture(scope="session")
def events():
    return [json.loads(line) for line in simulate(CONFIG)]


@pytest.fixture(scope="session")
def transactions(events):
    return [event["data"] for event in events if event["topic"] == "pix-transactions"]


@pytest.fixture(scope="session")
def feedback(events):
    return [event["data"] for event in events if event["topic"] == "pix-feedback"]
