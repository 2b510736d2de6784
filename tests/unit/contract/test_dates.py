"""Dates and times that cannot be right: missing where they are optional, malformed where they are required."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.event import EARLIEST, LATEST, Event, days, micros
from shared.contract.feedback import decode_feedback
from shared.contract.mapping import event_of
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.transaction import decode_transaction
from tests.builders import encoded, med_report, transaction
from tests.unit.contract.refusals import reason

AT = dt.datetime(2026, 11, 20, 14, 32, 5, 123_000, tzinfo=dt.UTC)
"""When the Pix of `transaction()` was initiated."""
COLUMNS = {
    "payer__opened_at": "payer_opened_at",
    "payee__opened_at": "payee_opened_at",
    "payee__key_owned_since": "payee_key_owned_since",
}
instants = st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=14))])) | st.datetimes(
    timezones=st.just(dt.timezone(dt.timedelta(hours=-12)))
)


def event(**changes: object) -> Event:
    """Return the event of a message with changes."""
    return event_of(decode_transaction(encoded(transaction(**changes))).value, Pseudonymiser(b"secret"))


@pytest.mark.parametrize("field", COLUMNS)
@pytest.mark.parametrize("date", ["0001-01-01", "1900-01-01", "1970-01-01", "1899-12-31", "2026-11-21", "9999-12-31"])
def test_a_zero_or_later_date_is_missing(field: str, date: str) -> None:
    assert getattr(event(**{field: date}), COLUMNS[field]) is None


@pytest.mark.parametrize("field", COLUMNS)
@pytest.mark.parametrize("date", ["1900-01-02", "1969-12-31", "1970-01-02", "2026-11-20"])
def test_a_date_until_the_day_of_the_pix_is_kept(field: str, date: str) -> None:
    assert getattr(event(**{field: date}), COLUMNS[field]) == days(dt.date.fromisoformat(date))


@pytest.mark.parametrize(
    ("registered_at", "expected"),
    [
        ("2024-01-02T00:00:00Z", (True, micros(dt.datetime(2024, 1, 2, tzinfo=dt.UTC)))),
        ("2026-11-20T14:32:05.123Z", (True, micros(AT))),
        ("2026-11-20T11:32:05.123-03:00", (True, micros(AT))),
        ("2026-11-20T14:32:05.124Z", (False, None)),
        ("9999-12-31T23:59:59Z", (False, None)),
        ("9999-12-31T23:59:59-14:00", (False, None)),
        ("0001-01-01T00:00:00Z", (None, None)),
        ("0001-01-01T00:00:00+14:00", (None, None)),
        ("1999-12-31T23:59:59Z", (None, None)),
        (None, (False, None)),
    ],
)
def test_a_device_is_registered_by_the_time_of_the_pix_or_not(
    registered_at: str | None, expected: tuple[bool | None, int | None]
) -> None:
    found = event(device__registered_at=registered_at)
    assert (found.device_registered, found.device_registered_at) == expected


@pytest.mark.parametrize("watermark", ["0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "2026-11-22T00:00:00Z"])
def test_statistics_stay_without_a_watermark_that_cannot_be_right(watermark: str) -> None:
    found = event(payee_statistics__watermark=watermark).payee_statistics
    assert found == (event(payee_statistics__watermark=None).payee_statistics)
    assert found is not None
    assert "settlements" in found


@given(instants, instants)
def test_no_stored_time_is_outside_the_years_of_tables(registered_at: dt.datetime, watermark: dt.datetime) -> None:
    found = event(
        device__registered_at=registered_at.isoformat(), payee_statistics__watermark=watermark.isoformat()
    ).device_registered_at
    assert found is None or micros(EARLIEST) <= found <= micros(AT)


@pytest.mark.parametrize("at", ["1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"])
def test_a_required_time_outside_the_range_is_malformed(at: str) -> None:
    message = transaction()
    assert reason(encoded(message | {"initiated_at": at})) == ("invalid_value", "initiated_at")
    report = med_report(message["end_to_end_id"], reported_at=at)
    assert reason(encoded(report), decode_feedback) == ("invalid_value", "reported_at")


def test_microseconds_in_range_are_exact_in_float64_and_nanoseconds_fit_int64() -> None:
    last = micros(LATEST) - 1
    assert int(float(last)) == last
    assert last * 1000 < 2**63
