"""Schedules: the next time, and texts that are refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.scheduler.cron import parse_schedule

NOON = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * *", "2026-11-20 12:01"),
        ("0 3 * * *", "2026-11-21 03:00"),
        ("*/15 * * * *", "2026-11-20 12:15"),
        ("5/20 12 * * *", "2026-11-20 12:05"),
        ("0 9-17/4 * * *", "2026-11-20 13:00"),
        ("0 0 1,15 * *", "2026-12-01 00:00"),
        ("0 0 * * 7", "2026-11-22 00:00"),
        ("0 0 * * 0", "2026-11-22 00:00"),
        ("30 6 * 2 1-5", "2027-02-01 06:30"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("0 0 13 * 5", "2026-11-27 00:00"),  # the 13th or a Friday
    ],
)
def test_the_next_time(text: str, expected: str) -> None:
    assert parse_schedule(text).after(NOON) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_every_counts_from_the_moment() -> None:
    assert parse_schedule("@every 90s").after(NOON) == NOON + timedelta(seconds=90)


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a * * * *", "5-1 * * * *",
     "*/0 * * * *", "1,, * * * *", "@every 0s", "@every 5", "@daily"],
)  # fmt: skip
def test_a_wrong_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_schedule(text)


def test_a_nonexistent_date_is_refused() -> None:
    with pytest.raises(ValueError, match="does not exist"):
        parse_schedule("0 0 31 2 *").after(NOON)


@given(
    st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year < 9999),
    st.integers(0, 59),
    st.integers(0, 23),
)
def test_a_daily_schedule_is_due_within_a_day_at_its_minute(moment: datetime, minute: int, hour: int) -> None:
    due = parse_schedule(f"{minute} {hour} * * *").after(moment)
    assert timedelta(0) < due - moment <= timedelta(days=1)
    assert (due.minute, due.hour, due.second) == (minute, hour, 0)
