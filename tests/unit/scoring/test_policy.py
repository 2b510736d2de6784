"""Decisions: the severer of rules and model, by the side's thresholds and names, with the end of each stop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BundleRefused
from shared.features.catalogue import FEATURE_NAMES
from shared.features.limits import limits_in_force
from shared.learning.training.packing import BundleParts, pack, sealed
from shared.scoring.bundle import Bundle, Calibration, Manifest
from shared.scoring.policy import Decisions, ModelScores, Reasons, decide
from shared.scoring.rules import Decision, FiredRules, Rules
from shared.scoring.thresholds import SideThresholds, Thresholds
from tests.unit.learning.bundles import logistic
from tests.unit.scoring.vectors import PLAIN, vectors

NOON, EVENING = 1_795_186_800_000_000, 1_795_215_600_000_000  # 12h and 20h in Brasília
MINUTE = 60_000_000
THRESHOLDS = SideThresholds(payer=Thresholds(0.5, 0.9), payee=Thresholds(0.2, 0.4))


def bundle(thresholds: SideThresholds = THRESHOLDS) -> Bundle:
    """A small model with thresholds by side."""
    reference = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    identity = Calibration([0.0, 1.0], [0.0, 1.0])
    parts = BundleParts(1.0, logistic(1.0), FEATURE_NAMES[:3], identity, thresholds, reference)
    return Bundle(sealed(pack(parts, reference, seed=0), Manifest("v1", "2026-01-01T00:00:00Z", {})))


BUNDLE = bundle()
THREE = vectors(*({**PLAIN, "side": 0.0} for _ in range(3)))
"""Vectors of three plain Pix."""


def decided(scores: list[float], sides: list[float], severity: list[int] | None = None, due: int = NOON) -> Decisions:
    """Return decisions on plain Pix, by these scores and severities of the rules."""
    n = len(scores)
    features = vectors(*(PLAIN | {"side": side} for side in sides))
    by_rule = severity or [0] * n
    fired = FiredRules(np.array(by_rule, np.int8), [("RULE",) if each else () for each in by_rule])
    scored = [ModelScores(BUNDLE, np.arange(n), np.array(scores))]
    return decide(features, scored, fired, np.full(n, due))


@pytest.mark.parametrize(
    ("side", "score", "decision"),
    [
        (0, 0.3, "APPROVE"),
        (0, 0.5, "HOLD"),
        (0, 0.9, "REJECT"),
        (1, 0.1, "APPROVE"),
        (1, 0.2, "BLOCK"),
        (1, 0.4, "REJECT"),
        (np.nan, 0.5, "HOLD"),
    ],
)
def test_each_side_has_its_thresholds_and_names(side: float, score: float, decision: str) -> None:
    assert decided([score], [side]).decisions == [decision]


def test_a_hold_ends_by_side_and_hour() -> None:
    day = decided([0.6, 0.3, 0.0, 1.0], [0, 1, 0, 1])
    assert day.decisions == ["HOLD", "BLOCK", "APPROVE", "REJECT"]
    assert day.hold_until == [NOON + 30 * MINUTE, NOON + 72 * 60 * MINUTE, None, None]
    assert decided([0.6], [0], due=EVENING).hold_until == [EVENING + 60 * MINUTE]


def test_the_reasons_of_rules_come_first_and_contribute_nothing() -> None:
    told = iter([[Reasons(["A", "B"], [2.0, 1.0]), Reasons([], [])]])
    scored = [ModelScores(BUNDLE, np.array([0, 2]), np.array([0.6, 0.95]), lambda *_: next(told))]
    fired = FiredRules(np.array([1, 1, 0], np.int8), [("R",), ("R",), ()])
    found = decide(THREE, scored, fired, np.full(3, NOON))
    assert found.reasons == [["R", "A", "B"], ["R"], []]
    assert found.contributions == [[0.0, 2.0, 1.0], [0.0], []]


def test_without_exact_reasons_only_stopped_pix_are_explained() -> None:
    asked: list[int] = []

    def explain(_: Bundle, stopped: Any) -> list[Reasons]:
        asked.append(len(stopped))
        return [Reasons(["A"], [1.0])] * len(stopped)

    scored = [ModelScores(BUNDLE, np.arange(3), np.array([0.1, 0.6, 0.2]), explain)]
    found = decide(THREE, scored, FiredRules(np.zeros(3, np.int8), [(), (), ()]), np.full(3, NOON))
    assert (found.reasons, asked) == ([[], ["A"], []], [1])


def test_rules_decide_alone_where_no_model_has_a_score() -> None:
    few = {**PLAIN, "payee_new_payers_30d": 5, "payee_since_fraud": 9}
    features = vectors({**PLAIN, "night": 1}, {**few, "side": 1, "key_markers": 1}, {**few, "owner_markers": 3})
    found = decide(features, [], Rules.load().apply(features), np.full(3, EVENING))
    assert found.scores == [None, None, None]
    assert found.decisions == ["HOLD", "BLOCK", "REJECT"]
    assert found.hold_until == [EVENING + 60 * MINUTE, EVENING + 72 * 60 * MINUTE, None]
    assert found.reasons == [["NIGHT_LIMIT"], ["PAYEE_MARKED"], ["PAYEE_UNDER_SUSPICION", "PAYEE_MARKED"]]


ROWS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from([0, 1]),
        st.sampled_from([0, 1, 2]),
        st.integers(NOON, NOON + 86_400_000_000),
    ),
    max_size=12,
)


@given(ROWS)
def test_every_row_is_decided_by_its_own_side_score_and_rules(rows: list[tuple[float, int, int, int]]) -> None:
    features = vectors(*(PLAIN | {"side": float(side)} for _, side, _, _ in rows))
    fired = FiredRules(np.array([each[2] for each in rows], np.int8), [()] * len(rows))
    scores = np.array([each[0] for each in rows])
    due = np.array([each[3] for each in rows], np.int64)
    found = decide(features, [ModelScores(BUNDLE, np.arange(len(rows)), scores)], fired, due)
    for (score, side, rule, at), decision, until in zip(rows, found.decisions, found.hold_until, strict=True):
        own = THRESHOLDS.of("PAYEE" if side else "PAYER")
        severity = Decision(max(rule, (score >= own.hold) + (score >= own.reject)))
        assert decision == severity.name_of("PAYEE" if side else "PAYER")
        (end,) = limits_in_force().hold_until(np.array([at]), np.array([side == 1]))
        assert until == (end if severity is Decision.HOLD else None)


def test_thresholds_of_a_side() -> None:
    assert (THRESHOLDS.of("PAYER"), THRESHOLDS.of("PAYEE")) == (THRESHOLDS.payer, THRESHOLDS.payee)
    assert THRESHOLDS.reached(np.array([0.3, 0.3]), np.array([False, True])).tolist() == [0, 1]


@pytest.mark.parametrize("wrong", [Thresholds(0.0, 0.5), Thresholds(0.5, 0.4), Thresholds(0.5, float("nan"))])
@pytest.mark.parametrize("side", ["payer", "payee"])
def test_impossible_thresholds_of_either_side_are_refused(side: str, wrong: Thresholds) -> None:
    pairs: dict[str, Any] = {"payer": Thresholds(0.5, 0.9), "payee": Thresholds(0.5, 0.9)}
    with pytest.raises(BundleRefused, match="policy"):
        bundle(SideThresholds(**pairs | {side: wrong}))
