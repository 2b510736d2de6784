"""Pix by hour and by date."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.capacity import profile
from tests.unit.infra.capacity.planned import KNOWN


@given(st.floats(1, 1e9))
def test_hourly_rates_add_up_to_the_day(pix: float) -> None:
    rates = profile.rates(pix, KNOWN.measured.hourly_shares.values)
    assert rates.sum() == pytest.approx(pix)
    assert rates.min() > 0


def test_pix_peak_at_noon_and_in_the_evening() -> None:
    by_hour = profile.rates(1e6, KNOWN.measured.hourly_shares.values).reshape(24, -1).sum(axis=1)
    assert by_hour[2:5].max() < by_hour[14] / 3
    assert by_hour[12] > by_hour[15] < by_hour[18]


def test_date_factors_average_to_one_and_peak_on_paydays() -> None:
    dates = [dt.date(2026, 1, 1) + dt.timedelta(days=day) for day in range(365)]
    factors = [profile.factor(date) for date in dates]
    assert sum(factors) / 365 == pytest.approx(1, abs=0.01)
    assert profile.factor(dt.date(2026, 11, 27)) > profile.factor(dt.date(2026, 11, 20))
    assert profile.factor(profile.busiest(2026)) == max(factors)
