"""Labels that stand for the decisions without one: a simulated selection is undone by its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.memory.learning import MemoryArchive
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data import snapshot
from shared.learning.data.label_chance import (
    DecisionColumns,
    LabelRates,
    effective,
    label_chances,
    label_rates,
    label_weights,
    representation,
)
from shared.learning.data.unlabelled import DecisionCount
from shared.scoring.rules import Decision
from tests.unit.learning.data.tables import put, read
from tests.unit.learning.synthetic import examples

SHARES = st.floats(0.0, 1.0)
ROWS = 400_000


def alone(decided: DecisionColumns) -> np.ndarray:
    """Numbers of Pix with one side each."""
    return np.arange(len(decided.policy), dtype=np.int32)


def one(policy: Decision, probability: float, drawn: bool = False, payee: bool = False) -> DecisionColumns:
    return DecisionColumns(np.array([policy], np.int8), np.array([drawn]), np.array([probability]), np.array([payee]))


class Selected:
    """Pix by what the policy decided, of which reviewers and the control group leave some with a label.

    Frauds are more likely among what the policy stops, and reviewers judge a part of the holds. Customers complain
    about good Pix that were rejected, which gives these a label.
    """

    def __init__(self, seed: int, reviewed: float = 0.4, complaints: float = 0.3) -> None:
        rng = np.random.default_rng(seed)
        self.policy = rng.choice(3, ROWS, p=[0.9, 0.06, 0.04]).astype(np.int8)
        self.fraud = rng.random(ROWS) < np.array([0.001, 0.3, 0.8])[self.policy]
        chance = rng.uniform(0.06, 0.2, ROWS)
        probability = np.where(self.policy == Decision.APPROVE, 0.0, chance)
        drawn = rng.random(ROWS) < probability
        review = rng.random(ROWS) < reviewed
        complaint = ~self.fraud & (rng.random(ROWS) < complaints)
        self.decided = DecisionColumns(self.policy, drawn, probability, np.zeros(ROWS, bool))
        held = (self.policy == Decision.HOLD) & (drawn | review)
        rejected = (self.policy == Decision.REJECT) & np.where(drawn, review, complaint)
        self.labelled = (self.policy == Decision.APPROVE) | held | rejected
        self.rates = LabelRates(payer=reviewed)

    def weight(self) -> np.ndarray:
        known = self.decided.take(self.labelled)
        return label_weights(label_chances(known, alone(known), self.rates), 1e9)


@pytest.mark.parametrize("seed", range(3))
def test_weighted_labels_recover_the_frauds_and_holds_of_all_decisions(seed: int) -> None:
    world = Selected(seed)
    weight, fraud, policy = world.weight(), world.fraud[world.labelled], world.policy[world.labelled]
    for severity in Decision:
        frauds = weight[fraud & (policy == severity)].sum()
        assert frauds == pytest.approx((world.fraud & (world.policy == severity)).sum(), rel=0.06), severity
    held = weight[policy == Decision.HOLD].sum()
    assert held == pytest.approx((world.policy == Decision.HOLD).sum(), rel=0.02)
    as_they_are = fraud[policy != Decision.APPROVE].sum()
    assert as_they_are < 0.4 * (world.fraud & (world.policy != Decision.APPROVE)).sum()


def test_customers_who_complain_stand_for_themselves_only() -> None:
    """Good customers alone complain, so each is counted beside those that the control group stands for."""
    few, many = Selected(0, complaints=0.0), Selected(0, complaints=1.0)
    totals = []
    for world in (few, many):
        rejected = (world.policy == Decision.REJECT)[world.labelled]
        good = rejected & ~world.fraud[world.labelled]
        totals.append(world.weight()[good].sum())
        assert world.weight()[rejected & world.fraud[world.labelled]].sum() == pytest.approx(
            (world.fraud & (world.policy == Decision.REJECT)).sum(), rel=0.06
        )
    there = (~few.fraud & (few.policy == Decision.REJECT)).sum()
    assert totals[0] == pytest.approx(there, rel=0.3)  # some 160 rows
    complained = ~many.fraud & (many.policy == Decision.REJECT) & ~many.decided.drawn
    assert totals[1] - totals[0] == pytest.approx(complained.sum())


@given(SHARES, SHARES)
def test_chances_are_probabilities_that_rise_with_control_and_reviews(p: float, r: float) -> None:
    rates = LabelRates(r, r)
    held, lower = (label_chances(one(Decision.HOLD, of), np.zeros(1, np.int32), rates)[0] for of in (p, p / 2))
    assert 0 <= max(r, p) * 0.999 <= held <= 1
    assert lower <= held + 1e-12
    drawn = label_chances(one(Decision.REJECT, p, drawn=True), np.zeros(1, np.int32), rates)[0]
    assert drawn == pytest.approx(p * r)
    assert label_chances(one(Decision.REJECT, p), np.zeros(1, np.int32), rates)[0] == 1
    assert label_chances(one(Decision.APPROVE, 0.0), np.zeros(1, np.int32), rates)[0] == 1


@given(st.lists(st.floats(0.0, 1.0), min_size=1), st.floats(1.0, 100.0))
def test_weights_are_at_least_one_and_clipped(chances: list[float], most: float) -> None:
    weight = label_weights(np.array(chances), most)
    assert np.all((weight >= 1 - 1e-12) & (weight <= most * (1 + 1e-12)))
    assert 0 < effective(weight) <= len(weight) * (1 + 1e-12)


def test_the_side_that_is_less_likely_to_let_a_pix_pass_counts_for_both() -> None:
    policy = np.array([Decision.APPROVE, Decision.HOLD, Decision.APPROVE], np.int8)
    decided = DecisionColumns(policy, np.zeros(3, bool), np.zeros(3), np.array([False, True, False]))
    chance = label_chances(decided, np.array([0, 0, 1], np.int32), LabelRates(payer=0.9, payee=0.25))
    assert chance.tolist() == [0.25, 0.25, 1.0]


def test_rates_are_of_what_the_policy_held_and_chance_left() -> None:
    counts = [
        DecisionCount("PAYER", "HOLD", "HOLD", None, 30),
        DecisionCount("PAYER", "HOLD", "HOLD", "UNPAID", 60),
        DecisionCount("PAYER", "HOLD", "HOLD", "OPEN", 10),
        DecisionCount("PAYER", "APPROVE", "HOLD", None, 1_000),
        DecisionCount("PAYER", "HOLD", "REJECT", None, 1_000),
        DecisionCount("PAYEE", "BLOCK", "BLOCK", None, 1),
        DecisionCount("PAYEE", "BLOCK", "BLOCK", "ENDED", 1),
        DecisionCount("PAYEE", "REJECT", "REJECT", "UNPAID", 1_000),
    ]
    assert label_rates(counts) == LabelRates(payer=0.3, payee=0.5)


def test_the_figures_say_how_much_rests_on_the_control_group_and_what_is_cut() -> None:
    policy = np.array([Decision.APPROVE, Decision.HOLD, Decision.HOLD], np.int8)
    drawn = np.array([False, True, True])
    decided = DecisionColumns(policy, drawn, np.array([0.0, 0.1, 0.01]), np.zeros(3, bool))
    rates, fraud = LabelRates(payer=0.0), np.array([True, True, False])
    chance = label_chances(decided, alone(decided), rates)
    found = representation(decided, fraud, np.ones(3), chance, rates, 20.0)
    assert (found.control, found.control_frauds, found.clipped) == (2, 1, 1)
    assert found.control_effective == pytest.approx(30**2 / 500)
    assert found.frauds_effective == pytest.approx(11**2 / 101)
    assert found.control_share == pytest.approx(10 / 11)
    assert found.cut == pytest.approx(80 / 111)
    assert all(np.isfinite(list(found.metrics().values())))


def selected(rows: int) -> pa.Table:
    """Return examples of which the first were rejected, and held by chance, and the next were held by the policy."""
    table = put(examples(rows), "sampling_rate", np.full(rows, 0.5))
    table = put(table, "decision", ["HOLD"] * 20 + ["APPROVE"] * (rows - 20))
    table = put(table, "policy_decision", ["REJECT"] * 10 + [None] * (rows - 10))
    return put(table, "control_probability", pa.array([0.2] * 10 + [0.0] * 10 + [None] * (rows - 20), pa.float64()))


def test_a_training_set_and_its_snapshot_have_weights_and_figures(tmp_path: Path) -> None:
    data = read(put(selected(300), "side", ["PAYER"] * 300), tmp_path, rates=LabelRates(payer=0.5))
    weights, counts = np.unique(data.label_weight.round(6), return_counts=True)
    assert dict(zip(weights.tolist(), counts.tolist(), strict=True)) == {1.0: 280, 2.0: 10, 10.0: 10}
    np.testing.assert_allclose(data.weight, 2 * data.label_weight)
    assert data.quality.representation.control == 10
    archive = MemoryArchive()
    snapshot.save(archive, data)
    loaded = snapshot.load(archive, data.content_hash, FEATURE_NAMES)
    np.testing.assert_array_equal(loaded.label_weight, data.label_weight)
    assert loaded.quality == data.quality


def test_a_set_in_which_every_row_has_a_label_keeps_the_hash_of_before_there_were_weights(tmp_path: Path) -> None:
    held = put(examples(300), "decision", ["HOLD"] * 20 + ["APPROVE"] * 280)
    plain = read(examples(300), tmp_path / "plain").content_hash
    all_reviewed, some = (read(held, tmp_path / f"{rate}", rates=LabelRates(rate, rate)) for rate in (1.0, 0.5))
    assert all_reviewed.content_hash == plain != some.content_hash
