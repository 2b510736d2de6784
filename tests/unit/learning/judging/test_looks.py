"""The budget for false promotions over looks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.learning.judging.looks import Look, budget
from tests.unit.learning.synthetic import CONFIG

SPEC = CONFIG.gate
DAY = 86_400.0


def looks_on(days: list[float]) -> list[Look]:
    """Looks at periods that end on these days, in order, each of which spends its whole level."""
    looks: list[Look] = []
    for day in days:
        looks.append(Look(day * DAY, budget(looks, (day - 36) * DAY, day * DAY, SPEC).level))
    return looks


@given(st.lists(st.floats(0, 60), min_size=1, max_size=200))
def test_the_levels_of_all_looks_in_sixty_days_sum_to_no_more_than_the_chance_allowed(days: list[float]) -> None:
    spent = sum(look.level for look in looks_on(sorted(days)))
    assert 0 < spent <= SPEC.false_promotions * (1 + 1e-9)


@given(st.lists(st.floats(0, 600), min_size=1, max_size=60), st.floats(0, 540))
def test_so_they_do_in_any_sixty_days(days: list[float], start: float) -> None:
    looks = looks_on(sorted(days))
    spent = sum(look.level for look in looks if start <= look.until / DAY < start + SPEC.false_promotions_days)
    assert spent <= SPEC.false_promotions * (1 + 1e-9)


def test_a_second_look_at_the_same_period_has_half_the_level_of_the_first() -> None:
    first, second, third = looks_on([36, 36, 36])
    assert first.level == pytest.approx(SPEC.false_promotions / 4)
    assert (second.level, third.level) == pytest.approx((first.level / 2, first.level / 4))


def test_fresh_days_earn_the_level_back_and_old_ones_do_not() -> None:
    looks = looks_on([36])
    again, week, year, older = (budget(looks, 0, until * DAY, SPEC).level for until in (36, 43, 36 + 365, 20))
    assert older == again < week < year == looks[0].level


def test_looks_at_days_of_the_period_are_counted() -> None:
    looks = looks_on([36, 43, 50])
    assert [budget(looks, start * DAY, 60 * DAY, SPEC).looks for start in (0, 36, 43, 50)] == [3, 2, 1, 0]
