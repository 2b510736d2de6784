"""A Pix without personal data, as it is stored and as history and features read it."""

from __future__ import annotations

import datetime as dt

from msgspec import Struct


class Event(Struct, frozen=True, gc=False):
    """One Pix after pseudonymisation; every field is a column of `pix.score_events` under the same name.

    Times are microseconds since the epoch in UTC, dates are days since the epoch, `amount` is in centavos.
    `payer_id` and `payee_id` name accounts, so that money received and passed on meets in one place;
    `*_person_id` name their holders. `device_registered` is None where nothing is known of the device.
    """

    end_to_end_id: str
    initiated_at: int
    amount: int
    initiation_form: str
    purpose: str
    payer_id: str
    payer_person_id: str
    payer_ispb: str
    payee_id: str
    payee_ispb: str
    payer_account_type: str | None = None
    payer_opened_at: int | None = None
    payee_person_id: str | None = None
    payee_account_type: str | None = None
    payee_opened_at: int | None = None
    payee_key_id: str | None = None
    payee_key_type: str | None = None
    payee_key_owned_since: int | None = None
    device_id: str | None = None
    device_registered: bool | None = None
    device_registered_at: int | None = None
    payee_statistics: str | None = None  # canonical JSON of contract.transaction.PayeeStatistics


EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EPOCH_DAY = EPOCH.date().toordinal()
_MICROSECOND = dt.timedelta(microseconds=1)


def micros(instant: dt.datetime) -> int:
    """Return microseconds since the epoch.

    >>> micros(dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC))
    1000000
    """
    return (instant - EPOCH) // _MICROSECOND


def days(date: dt.date) -> int:
    """Return days since the epoch.

    >>> days(dt.date(1970, 1, 2))
    1
    """
    return date.toordinal() - _EPOCH_DAY
