"""A challenger trained on leaked labels does not serve before a person has looked, however good it seems."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shared.contract.rows import FEATURE_PREFIX
from shared.learning.lifecycle.comparisons import ACTIONS
from shared.learning.lifecycle.operator_move import OperatorMove
from shared.learning.lifecycle.pointer import read_pointer
from shared.learning.lifecycle.request import RetrainingResult
from shared.learning.lifecycle.retraining import retrain
from tests.unit.learning.synthetic import QUICK, Bench, examples, request, silent

LEAKY = ("payer_since_last", "handset_since_last", "device_since_last")
PLANTED = [(0.5,), (0.8,), (0.9,), (0.5, 0.5), (0.34, 0.33, 0.33)]


def leaked(shares: Sequence[float], until: float = 1.0, seed: int = 0) -> pa.Table:
    """Examples in which each of some features is 1 for frauds of its own, `shares`, until a share of the rows."""
    table = examples(seed=seed).sort_by("initiated_at")
    rng = np.random.default_rng(seed + 1)
    draw = rng.random(len(table))
    fraud = np.array(table["verdict"].to_pylist()) == "FRAUD"
    early = np.arange(len(table)) < until * len(table)
    start = 0.0
    for name, share in zip(LEAKY, shares, strict=False):
        told = fraud & early & (draw >= start) & (draw < start + share)
        column = table.schema.get_field_index(FEATURE_PREFIX + name)
        table = table.set_column(column, FEATURE_PREFIX + name, pa.array(told * 1.0))
        start += share
    return table


def trained(bench: Bench, table: pa.Table) -> RetrainingResult:
    bench.exports.table = table
    return retrain(bench.services(), QUICK, request(), silent)


@pytest.fixture(scope="module")
def served() -> Bench:
    """A bench with a champion from before any leak."""
    bench = Bench()
    assert trained(bench, examples()).outcome == "PROMOTED"
    return bench


def test_a_label_that_leaks_until_the_test_period_is_refused() -> None:
    bench = Bench()
    outcome = trained(bench, leaked([1.0], until=0.8))
    assert outcome.outcome == "REFUSED"
    assert read_pointer(bench.blobs).version is None
    assert any("suspiciously good on the calibration period" in reason for reason in outcome.reasons)


@pytest.mark.parametrize("shares", PLANTED)
def test_a_part_of_the_frauds_that_features_reveal_asks_a_person(served: Bench, shares: tuple[float, ...]) -> None:
    champion = read_pointer(served.blobs).version
    # Every case looks at the same days, as if none had looked before.
    served.rows[:] = [
        row if row.action in ACTIONS else msgspec.structs.replace(row, metrics=None) for row in served.rows
    ]
    outcome = trained(served, leaked(shares))
    assert outcome.outcome == "SUSPECTED"
    assert outcome.metrics["saving_per_million_low"] > 0
    assert any(name in outcome.reasons[0] for name in LEAKY[: len(shares)])
    assert read_pointer(served.blobs).version == champion
    assert (served.rows[-1].action, served.rows[-1].to_version) == ("ASK", outcome.version)
    card = served.runs.reports[outcome.run_id].documents["card.html"].decode()
    assert "A feature may contain the label" in card


@pytest.mark.parametrize("shares", [(0.8,), (0.5, 0.5), (0.34, 0.33, 0.33)])
def test_without_a_champion_to_compare_with_a_leak_asks_a_person(shares: tuple[float, ...]) -> None:
    bench = Bench()
    assert trained(bench, leaked(shares)).outcome == "SUSPECTED"
    assert read_pointer(bench.blobs).version is None


def test_a_stream_whose_features_are_strong_is_promoted_once_a_person_has_looked() -> None:
    bench = Bench()
    asked = trained(bench, leaked([0.9]))
    assert (asked.outcome, bench.actions()[-1]) == ("SUSPECTED", "ASK")
    assert asked.version is not None
    move = OperatorMove(bench.blobs, lambda: bench.runs, bench.ledger, bench.now, "ana")
    assert move.promote(asked.version, "payees of fraud are new here").outcome == "PROMOTED"
    again = trained(bench, leaked([0.9], seed=5))
    assert again.champion == asked.version
    assert bench.runs.reports[again.run_id].tags["suspicions"] == ""
    assert again.outcome in ("PROMOTED", "REFUSED")
