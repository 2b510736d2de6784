"""The refit of an approved challenger, and its proofs."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from shared.learning.config import Config
from shared.learning.data.dataset import Dataset
from shared.learning.data.split import Split
from shared.learning.specs.gate import RefitSpec
from shared.learning.training.calibrate import log_odds
from shared.learning.training.challenger import Challenger, train_challengers
from shared.learning.training.packing import sealed
from shared.learning.training.refit import Proof, Refit, refit
from shared.scoring.bundle import Bundle, Manifest
from shared.scoring.rules import Rules
from tests.unit.learning.rows import LINEAR, searching, training_set
from tests.unit.learning.synthetic import silent

SPLIT = Split(slice(0, 1_800), slice(1_850, 2_300), slice(2_350, 3_000))
PARAMS = {"C": 0.1, "class_weight": None, "legitimate_per_fraud": 4}
CONFIG: Config = msgspec.structs.replace(
    searching(trials=1), candidates=[msgspec.structs.replace(LINEAR, params=PARAMS, search={})], modes=["full"]
)


def data_of() -> Dataset:
    data = training_set(3_000)
    data.features[:, 40:] = np.nan
    return data


def approved(data: Dataset) -> Challenger:
    (one,) = train_challengers(data, SPLIT, Rules.load(), CONFIG, None, silent, lambda _: None).challengers
    return one


def failed(found: Refit) -> set[str]:
    return {proof.name for proof in found.proofs if not proof.passed}


DATA = data_of()
APPROVED = approved(DATA)


def test_a_refit_on_more_of_the_same_proves_itself_with_the_approved_thresholds() -> None:
    found = refit(APPROVED, DATA, SPLIT, CONFIG)
    assert failed(found) == set()
    bundle = Bundle(sealed(found.files, Manifest("v1", "2026", {})))
    assert bundle.thresholds == APPROVED.parts.thresholds
    assert found.files["model.onnx"] != APPROVED.files["model.onnx"]
    recent = DATA.features[SPLIT.test.start :]
    assert bundle.score(recent).sum() == pytest.approx(DATA.fraud[SPLIT.test.start :].sum(), rel=0.3)


def test_a_refit_to_labels_that_were_turned_over_does_not_serve() -> None:
    turned = DATA.fraud.copy()
    turned[SPLIT.test.start :] = ~turned[SPLIT.test.start :]
    poisoned = dataclasses.replace(DATA, fraud=turned)
    recipe = APPROVED.recipe._replace(fit=approved(poisoned).recipe.fit)
    assert "order" in failed(refit(APPROVED._replace(recipe=recipe), poisoned, SPLIT, CONFIG))


def distribution(raw: NDArray[np.float64]) -> Proof:
    """Return the proof of the distribution if the approved scores had been these."""
    found = refit(APPROVED._replace(raw=raw), DATA, SPLIT, CONFIG)
    return next(proof for proof in found.proofs if proof.name == "distribution")


def test_scores_that_are_surer_as_a_whole_are_no_other_distribution() -> None:
    """A fit to more rows is surer of legitimate Pix: their log-odds are all lower, and it is calibrated again."""
    surer = 1 / (1 + np.exp(2.0 - 1.3 * log_odds(APPROVED.raw)))
    assert distribution(surer).measured == pytest.approx(distribution(APPROVED.raw).measured)
    assert distribution(surer).passed


def test_scores_of_another_shape_are_another_distribution() -> None:
    odds = log_odds(APPROVED.raw)
    in_two_heaps = 1 / (1 + np.exp(-np.where(odds > np.median(odds), 2.0, -2.0) - odds / 100))
    assert not distribution(in_two_heaps).passed
    assert not distribution(np.full(len(odds), 0.1)).passed


def test_a_limit_that_is_too_narrow_is_named_with_the_measured_value() -> None:
    strict = msgspec.structs.replace(CONFIG, refit=RefitSpec(psi_max=1e-9, ratio_max=9.0, correlation_min=0.01))
    [proof] = [proof for proof in refit(APPROVED, DATA, SPLIT, strict).proofs if not proof.passed]
    assert proof.name == "distribution"
    assert proof.measured > proof.limit == 1e-9
