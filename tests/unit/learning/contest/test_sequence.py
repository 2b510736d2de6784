"""Limits that hold at all looks together, against a slow reference and random walks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from shared.learning.contest.sequence import boundary, limits
from shared.learning.judging.spread import Measured

LEVEL, TIGHTEST = 0.05, 30.0


def slow_boundary(days: float, level: float, precision: float) -> float:
    """Return the boundary by its definition: the sum at which the mixed likelihood ratio is one over the level.

    The ratio exp(a s - a^2 v / 2) is mixed over a > 0 with a half normal density of this precision, numerically.
    """

    def mixed(total: float) -> float:
        def part(a: float) -> float:
            return float(math.exp(a * total - a * a * days / 2) * 2 * norm.pdf(a, scale=1 / math.sqrt(precision)))

        return float(quad(part, 0, 12 / math.sqrt(precision), limit=400)[0])

    return float(brentq(lambda total: mixed(total) - 1 / level, 0.0, 6 * math.sqrt(days))) / math.sqrt(days)


def precision_of(level: float, tightest: float) -> float:
    cost = 2 * math.log(1 / (2 * level))
    return tightest / (cost + math.log1p(cost))


@pytest.mark.parametrize("days", [1, 7, 30, 90])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_the_bound_is_that_of_the_mixture_and_a_little_wider(days: int, level: float) -> None:
    exact = slow_boundary(days, level, precision_of(level, TIGHTEST))
    assert exact <= boundary(days, level, TIGHTEST) <= 1.08 * exact


def test_the_bound_is_about_narrowest_where_it_is_asked_to_be() -> None:
    bounds = {days: boundary(days, LEVEL, TIGHTEST) for days in range(1, 400)}
    least = min(bounds.values())
    assert bounds[30] <= 1.01 * least
    assert bounds[1] > bounds[7] > bounds[30] < bounds[399]


def test_a_walk_that_goes_nowhere_stays_within_the_bound() -> None:
    rng = np.random.default_rng(5)
    walks = np.cumsum(rng.normal(size=(4_000, 200)), axis=1)
    bound = np.array([boundary(days, LEVEL, TIGHTEST) * math.sqrt(days) for days in range(1, 201)])
    crossed = (walks > bound).any(axis=1).mean()
    one_look = (walks > norm.isf(LEVEL) * np.sqrt(np.arange(1, 201))).any(axis=1).mean()
    assert crossed <= LEVEL
    assert one_look > 4 * LEVEL  # the bound of a single look, looked at daily


def test_limits_are_wider_than_those_of_one_look_and_allow_for_few_days_and_skewness() -> None:
    many, few = Measured(10.0, 2.0, 0.0, 60), Measured(10.0, 2.0, 0.0, 7)
    within = limits(many, LEVEL, TIGHTEST)
    assert within.low < many.lower(LEVEL)
    assert within.high - 10.0 == pytest.approx(10.0 - within.low)
    assert limits(few, LEVEL, TIGHTEST).low < within.low
    skewed = limits(Measured(10.0, 2.0, 1.0, 60), LEVEL, TIGHTEST)
    assert skewed.high - 10.0 > 10.0 - skewed.low  # rare large gains may be still to come
