"""Local hours and paydays."""

from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from infra.local.simulator.clock import HOUR_MS, Day, is_payday, local_hour


@given(st.integers(0, 23), st.floats(-50, 50))
def test_a_day_holds_every_local_hour_once(start_hour: int, hour: float) -> None:
    day = Day(0, 1_700_000 * HOUR_MS + start_hour * HOUR_MS)
    at = day.place(np.array([hour]))
    assert day.start <= at[0] < day.end
    apart = abs(float(local_hour(at)[0]) - hour % 24)
    assert min(apart, 24 - apart) < 1e-6 + 1 / HOUR_MS


def test_wages_fall_on_the_fifth_business_day() -> None:
    days = [date(2026, 11, 1) + timedelta(days=n) for n in range(30)]
    # 2 November 2026 is a holiday, a Monday.
    assert [day.day for day in days if is_payday((day - date(1970, 1, 1)).days)] == [9]
