"""DICT's statistics: months leave the current one out, days include today."""

from datetime import date
from typing import Any

import pytest

from infra.local.simulator.directory import Windows
from tests.unit.infra.local.simulator.simulated import moment_of

TODAY = date(2026, 11, 20)


def days(day: date) -> int:
    return (day - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("marked", "counts"),
    [
        (TODAY, (1, 0, 0)),
        (date(2026, 11, 1), (1, 0, 0)),
        (date(2026, 10, 31), (1, 1, 1)),
        (date(2026, 8, 23), (1, 1, 1)),
        (date(2026, 8, 22), (0, 1, 1)),
        (date(2025, 11, 1), (0, 1, 1)),
        (date(2025, 10, 31), (0, 0, 1)),
        (date(2021, 10, 31), (0, 0, 0)),
    ],
)
def test_windows_are_90_days_with_today_and_whole_months_before_this_one(
    marked: date, counts: tuple[int, int, int]
) -> None:
    assert tuple(Windows.of(days(TODAY)).counts([days(marked)]).values()) == counts


def test_no_dates_are_no_counts() -> None:
    assert Windows.of(days(TODAY)).counts([]) == {"d90": 0, "m12": 0, "m60": 0}


def test_settlements_of_this_month_are_in_d90_only(transactions: list[dict[str, Any]]) -> None:
    """An account opened this month has settlements in d90, and none in whole months."""
    young = [
        tx["payee_statistics"]["settlements"]
        for tx in transactions
        if "payee_statistics" in tx
        and tx["payee_statistics"]["registered_accounts"] == 1
        and tx["payee"].get("opened_at", "")[:7] == f"{moment_of(tx['initiated_at']):%Y-%m}"
    ]
    assert sum(each["d90"] for each in young) > 5
    assert {each["m12"] for each in young} == {0}
