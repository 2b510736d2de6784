"""A Pix without personal data, as it is stored and as history and features read it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from msgspec import Meta, Struct

# Types of columns that differ from those of JSON; `infra.derive` reads them.
Micros = Annotated[int, Meta(extra={"column": "TIMESTAMP"})]
"""Microseconds since the epoch, in UTC."""
Days = Annotated[int, Meta(extra={"column": "DATE"})]
"""Days since the epoch."""
Centavos = Annotated[int, Meta(extra={"column": "NUMERIC"})]
"""An amount in centavos; the column is in BRL."""


class Event(Struct, frozen=True, gc=False):
    """One Pix after pseudonymisation; every field is a column of `pix.score_events`, with this name and description.

    `payer_id` and `payee_id` name accounts, so that money received and passed on meets in one place;
    `*_person_id` name their holders. `device_registered` is None where nothing is known of the device.
    """

    end_to_end_id: Annotated[str, Meta(description="EndToEndId of the Pix")]
    initiated_at: Annotated[Micros, Meta(description="When the payer initiated it")]
    amount: Annotated[Centavos, Meta(description="BRL")]
    initiation_form: Annotated[str, Meta(description="MANU DICT INIC QRDN QRES AUTO APDN APES OTHER")]
    purpose: Annotated[str, Meta(description="IPAY GSCB (Pix Troco) OTHR (Pix Saque) REFU IPRT OTHER")]
    payer_id: Annotated[str, Meta(description="Pseudonym of the paying account")]
    payer_person_id: Annotated[str, Meta(description="Pseudonym of the payer")]
    payer_ispb: Annotated[str, Meta(description="Institution of the payer")]
    payee_id: Annotated[str, Meta(description="Pseudonym of the receiving account")]
    payee_ispb: Annotated[str, Meta(description="Institution of the payee")]
    payer_account_type: Annotated[str | None, Meta(description="CACC TRAN SLRY SVGS OTHR OTHER")] = None
    payer_opened_at: Annotated[Days | None, Meta(description="When the paying account was opened")] = None
    payee_person_id: Annotated[str | None, Meta(description="Pseudonym of the payee")] = None
    payee_account_type: Annotated[str | None, Meta(description="CACC TRAN SLRY SVGS OTHR OTHER")] = None
    payee_opened_at: Annotated[Days | None, Meta(description="When the receiving account was opened")] = None
    payee_key_id: Annotated[str | None, Meta(description="Pseudonym of the key (chave) that was used")] = None
    payee_key_type: Annotated[str | None, Meta(description="CPF CNPJ PHONE EMAIL EVP OTHER")] = None
    payee_key_owned_since: Annotated[Days | None, Meta(description="Since when the payee holds the key")] = None
    device_id: Annotated[str | None, Meta(description="Pseudonym of the payer's device")] = None
    device_registered: Annotated[bool | None, Meta(description="Whether the device is registered; NULL: unknown")] = (
        None
    )
    device_registered_at: Annotated[Micros | None, Meta(description="When the device was registered")] = None
    payee_statistics: Annotated[str | None, Meta(description="DICT statistics of the payee as JSON")] = None
    side: Annotated[str, Meta(description="Institution that asks: PAYER or PAYEE")] = "PAYER"
    payer_kind: Annotated[str, Meta(description="PERSON ENTREPRENEUR COMPANY")] = "PERSON"
    payee_kind: Annotated[str | None, Meta(description="PERSON COMPANY; NULL: unknown")] = None
    scheduled_for: Annotated[Micros | None, Meta(description="When a scheduled Pix is to settle")] = None
    service_level: Annotated[str | None, Meta(description="PAGPRI PAGAGD PAGFRD OTHER")] = None
    night_limit: Annotated[Centavos | None, Meta(description="The customer's own limit of a night")] = None
    night_from: Annotated[int | None, Meta(description="Minutes after midnight at which that night begins")] = None
    day_limit: Annotated[Centavos | None, Meta(description="The customer's own limit of a day")] = None
    night_spent: Annotated[Centavos | None, Meta(description="Spent this night, by the institution")] = None
    day_spent: Annotated[Centavos | None, Meta(description="Spent this day, by the institution")] = None
    unregistered_spent: Annotated[
        Centavos | None, Meta(description="Spent this day from unregistered devices, by the institution")
    ] = None
    payee_registered: Annotated[bool | None, Meta(description="Whether the payer registered the payee before")] = None


EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
EARLIEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
"""An older instant comes from a clock that was never set, or is the zero time of a language."""
LATEST = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
"""A later instant is a sentinel. Microseconds of the years between are exact in float64 (to 2255), in which features
are computed, nanoseconds fit int64 (to 2262), and any timestamp or date column holds them."""
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


def in_range(instant: dt.datetime) -> bool:
    """Return whether an instant is within the years that tables, Arrow and features hold.

    >>> in_range(dt.datetime(9999, 12, 31, tzinfo=dt.UTC))
    False
    """
    return EARLIEST <= instant < LATEST
