"""Simulated Pix settle, are rejected or returned, in time order and in the form of the contract."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import msgspec
import pytest

from infra.local.fates import with_outcomes
from infra.local.simulator import SimulationConfig, simulate
from shared.contract.events_file import Line, time_of
from shared.contract.outcome import PixOutcome, decode_outcome
from shared.contract.topics import OUTCOMES, TRANSACTIONS
from shared.contract.transaction import decode_transaction

END = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def simulated() -> list[bytes]:
    config = SimulationConfig(end=END, transactions=3_000, days=20, seed=3, fraud_rate=0.05, labels_until=END)
    return list(simulate(config))


@pytest.fixture(scope="module")
def texts(simulated: list[bytes]) -> list[bytes]:
    return list(with_outcomes(simulated))


@pytest.fixture(scope="module")
def told(texts: list[bytes]) -> list[PixOutcome]:
    lines = [msgspec.json.decode(text, type=Line) for text in texts]
    return [decode_outcome(bytes(line.data)).value for line in lines if line.topic == OUTCOMES]


def test_lines_stay_and_are_in_time_order(simulated: list[bytes], texts: list[bytes]) -> None:
    times = [time_of(text, number) for number, text in enumerate(texts)]
    assert times == sorted(at for at in times if at)
    assert [text for text in texts if msgspec.json.decode(text)["topic"] != OUTCOMES] == simulated


def test_every_pix_settles_or_is_rejected_and_some_are_returned(texts: list[bytes], told: list[PixOutcome]) -> None:
    lines = [msgspec.json.decode(text, type=Line) for text in texts]
    asked = [decode_transaction(bytes(line.data)).value for line in lines if line.topic == TRANSACTIONS]
    amounts = {pix.end_to_end_id: pix.centavos for pix in asked if pix.end_to_end_id.startswith("E")}
    statuses = Counter(str(outcome.status) for outcome in told)
    assert statuses["SETTLED"] + statuses["REJECTED"] == len(amounts)
    assert 5 < statuses["REJECTED"] < 100
    assert 10 < statuses["RETURNED"] < 200
    returned = [outcome for outcome in told if outcome.return_id]
    assert len({outcome.return_id for outcome in returned}) == statuses["RETURNED"]
    assert all(0 < (outcome.centavos or 0) <= amounts[outcome.end_to_end_id] for outcome in returned)
    assert {str(outcome.reason) for outcome in returned} == {"MD06", "FR01"}


def test_the_same_lines_have_the_same_fates(simulated: list[bytes], texts: list[bytes]) -> None:
    assert list(with_outcomes(simulated)) == texts
