"""The saving of pairs is the gate's, although Pix on which both agree are only counted."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from shared.learning.contest.paired import ACCOUNTS, Differing, foretold_saving, paired_saving
from shared.learning.judging.saving import Rows, realised_saving
from shared.learning.judging.stakes import saved_by_truth
from shared.learning.specs.gate import SideCosts
from tests.benchmarks.health.contests import CHAMPION, cheaper_by, lenient, player, run
from tests.unit.learning.synthetic import CONFIG

COSTS = CONFIG.costs
DAYS = 20


def pairs(rng: np.random.Generator, rows: int = 20_000) -> tuple[Differing, NDArray[np.float64], Rows]:
    """Return the differing rows, all Pix by day, and the gate's rows with those on which both agree."""
    day = np.sort(rng.integers(0, DAYS, rows))
    account = rng.integers(0, ACCOUNTS, rows)
    payees, amount = rng.random(rows) < 0.3, rng.lognormal(5, 1.3, rows)
    fraud = rng.random(rows) < 0.02
    scores = rng.beta(1, 20, (2, rows)) + 0.3 * fraud
    old, new = ((each > 0.15).astype(np.int8) + (each > 0.4) for each in scores)
    differ = old != new
    columns = (day, account, payees, amount, *scores, old.astype(np.int8), new.astype(np.int8), fraud, np.ones(rows))
    saved = saved_by_truth(new, old, amount, payees, COSTS)
    every = Rows(fraud, np.ones(rows), saved, day, account)
    return Differing(*columns).take(differ), np.bincount(day, minlength=DAYS).astype(float), every


def test_the_realised_saving_and_its_error_are_those_of_all_pix() -> None:
    differing, pix, every = pairs(np.random.default_rng(1))
    found, whole = paired_saving(differing, pix, COSTS).realised, realised_saving(every)
    assert found.value == pytest.approx(whole.value)
    assert found.error == pytest.approx(whole.error, rel=0.02)
    assert found.blocks == DAYS


def test_the_expected_saving_is_that_of_the_labels_with_less_chance_in_it() -> None:
    differing, pix, _ = pairs(np.random.default_rng(2))
    found = paired_saving(differing, pix, COSTS)
    assert found.expected.error < found.realised.error
    assert abs(found.expected.value - found.realised.value) < 3 * found.realised.error


def test_who_is_challenger_changes_the_sign_only() -> None:
    differing, pix, _ = pairs(np.random.default_rng(3))
    turned = differing._replace(
        champion=differing.challenger,
        challenger=differing.champion,
        champion_score=differing.challenger_score,
        challenger_score=differing.champion_score,
    )
    found, other = (paired_saving(one, pix, COSTS) for one in (differing, turned))
    assert other.expected.value == pytest.approx(-found.expected.value, rel=1e-6)
    assert (other.gained, other.lost) == (found.lost, found.gained)


def test_scores_alone_foretell_the_saving_if_they_are_calibrated() -> None:
    rng = np.random.default_rng(4)
    differing, pix, _ = pairs(rng)
    p = rng.beta(1, 10, len(differing.day))
    same = differing._replace(champion_score=p, challenger_score=p, fraud=rng.random(len(p)) < p)
    found, truth = foretold_saving(same, pix, COSTS), paired_saving(same, pix, COSTS).realised
    assert abs(found.value - truth.value) < 3 * truth.error


def test_the_worth_of_planted_challengers_is_as_stated() -> None:
    spec = msgspec.structs.replace(CONFIG.costs.payer)
    champion = player(CHAMPION, spec)
    assert cheaper_by(0.1, spec).cost / champion.cost == pytest.approx(0.9, abs=2e-3)
    even = lenient(spec)
    assert even.cost / champion.cost == pytest.approx(1.0, abs=0.02)
    assert even.thresholds.hold > champion.thresholds.hold


def test_a_cheaper_challenger_is_seen_and_an_equal_one_is_not() -> None:
    spec = CONFIG.costs.payer
    champion = player(CHAMPION, spec)
    assert run(cheaper_by(0.3, spec), champion, 50, 25, CONFIG, 1).outcome == "BETTER"
    assert run(champion, cheaper_by(0.3, spec), 50, 25, CONFIG, 2).outcome == "WORSE"
    assert run(champion, champion, 50, 20, CONFIG, 3).outcome == "NOT_SHOWN"
    assert run(champion, champion, 2, 8, CONFIG, 4).outcome == "TOO_FEW"


def test_sides_have_their_own_costs() -> None:
    differing, pix, _ = pairs(np.random.default_rng(6))
    free = msgspec.structs.replace(COSTS.payer, review=0.0, friction_hold=0.0, friction_hold_share=0.0)
    dear = paired_saving(differing, pix, SideCosts(COSTS.payer, COSTS.payer)).realised.value
    assert paired_saving(differing, pix, SideCosts(COSTS.payer, free)).realised.value != pytest.approx(dear)
