"""Map messages to stored records: the one place that names each field of both."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import msgspec
from msgspec import UNSET

from shared.contract.event import EARLIEST, Event, days, in_range, micros
from shared.contract.feedback import (
    AnalystReport,
    CustomerReport,
    Feedback,
    FraudMarker,
    FundsRecovery,
    MedReport,
    RefundReport,
)
from shared.contract.fields import centavos_of
from shared.contract.outcome import OutcomeStatus, PixOutcome
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow, NextIds, OutcomeRow
from shared.contract.transaction import CustomerLimits, Device, Spent, Statistics, Transaction

REPORT_IDS = ("person_id", "key_id", "analyst_id")
"""The columns of pseudonyms in `pix.feedback`."""

_encode = msgspec.json.Encoder(order="deterministic").encode
_ZEROS = days(dt.date(1900, 1, 1)), 0  # zero dates of systems; both are bank holidays, on which no account was opened
_NO_LIMITS, _NOT_SPENT = CustomerLimits(), Spent()
_DAY = 86_400_000_000  # microseconds
_AHEAD = dt.timedelta(days=1)  # statistics may be read after the Pix was initiated


def event_of(transaction: Transaction, pseudonymiser: Pseudonymiser) -> Event:
    """Return the transaction without personal data, and without dates that cannot be right."""
    payer, payee, device = transaction.payer, transaction.payee, transaction.device
    at = transaction.initiated_at
    initiated_at = micros(at)
    today = initiated_at // _DAY
    registered, registered_at = _registration(device, at) if device else (None, None)
    limits, spent = payer.limits or _NO_LIMITS, payer.spent or _NOT_SPENT
    unregistered = spent.unregistered_devices_today
    account, person = pseudonymiser.account_of, pseudonymiser.person
    # By position, in the order of Event: msgspec compares each name of a call with each name of the struct. And by
    # _value_, as the property `value` of an enumeration takes five times as long.
    return Event(
        transaction.end_to_end_id,  # end_to_end_id
        initiated_at,  # initiated_at
        centavos_of(transaction.amount),  # amount
        transaction.initiation_form._value_,  # initiation_form
        transaction.purpose._value_,  # purpose
        account(payer.ispb, payer.branch, payer.account),  # payer_id
        person(payer.tax_id),  # payer_person_id
        payer.ispb,  # payer_ispb
        account(payee.ispb, payee.branch, payee.account),  # payee_id
        payee.ispb,  # payee_ispb
        payer.account_type._value_ if payer.account_type else None,  # payer_account_type
        _past_day(payer.opened_at, today) if payer.opened_at else None,  # payer_opened_at
        person(payee.tax_id) if payee.tax_id else None,  # payee_person_id
        payee.account_type._value_ if payee.account_type else None,  # payee_account_type
        _past_day(payee.opened_at, today) if payee.opened_at else None,  # payee_opened_at
        pseudonymiser.key(payee.key, payee.key_type) if payee.key else None,  # payee_key_id
        payee.key_type._value_ if payee.key_type else None,  # payee_key_type
        _past_day(payee.key_owned_since, today) if payee.key_owned_since else None,  # payee_key_owned_since
        pseudonymiser.device_of(device.id) if device else None,  # device_id
        registered,  # device_registered
        registered_at,  # device_registered_at
        _statistics(transaction.payee_statistics, at) if transaction.payee_statistics else None,  # payee_statistics
        transaction.side._value_,  # side
        "ENTREPRENEUR" if payer.entrepreneur else _kind(payer.tax_id),  # payer_kind
        _kind(payee.tax_id) if payee.tax_id else None,  # payee_kind
        _instant(transaction.scheduled_for) if transaction.scheduled_for else None,  # scheduled_for
        transaction.service_level._value_ if transaction.service_level else None,  # service_level
        centavos_of(limits.night) if limits.night else None,  # night_limit
        _minutes(limits.night_from) if limits.night_from else None,  # night_from
        centavos_of(limits.day) if limits.day else None,  # day_limit
        centavos_of(spent.night) if spent.night else None,  # night_spent
        centavos_of(spent.day) if spent.day else None,  # day_spent
        centavos_of(unregistered) if unregistered else None,  # unregistered_spent
        payee.registered_by_payer,  # payee_registered
    )


def next_ids_of(transaction: Transaction, following: Pseudonymiser) -> NextIds:
    """Return the pseudonyms of the transaction under the next key."""
    payer, payee, device = transaction.payer, transaction.payee, transaction.device
    return NextIds(
        next_hmac_key=following.fingerprint,
        next_payer_id=following.account(payer),
        next_payer_person_id=following.person(payer.tax_id),
        next_payee_id=following.account(payee),
        next_payee_person_id=following.person(payee.tax_id) if payee.tax_id else None,
        next_payee_key_id=following.key(payee.key, payee.key_type) if payee.key else None,
        next_device_id=following.device_of(device.id) if device else None,
    )


def _kind(tax_id: str) -> str:
    """Return the kind of a holder: a CPF has 11 digits and names a person, a CNPJ has 14 characters."""
    return "PERSON" if len(tax_id) == 11 else "COMPANY"


def _instant(instant: dt.datetime) -> int | None:
    return micros(instant) if in_range(instant) else None


def _minutes(time: str) -> int:
    """Return a time of the day, hh:mm, in minutes."""
    return int(time[:2]) * 60 + int(time[3:])


def _past_day(date: dt.date, today: int) -> int | None:
    """Return a date in days since the epoch, None for a date after the Pix, before 1900, or the zero of a system."""
    day = days(date)
    return day if _ZEROS[0] < day <= today and day not in _ZEROS else None


def _registration(device: Device, at: dt.datetime) -> tuple[bool | None, int | None]:
    """Return whether a device was registered at the time of the Pix, and since when.

    A zero time is an unset field: nothing is known. A time after the Pix, or at the end of the calendar, is not yet.
    """
    registered_at = device.registered_at
    if registered_at is UNSET:
        return None, None
    if registered_at is None or registered_at > at:
        return False, None
    return (None, None) if registered_at < EARLIEST else (True, micros(registered_at))


def _statistics(statistics: Statistics, at: dt.datetime) -> str:
    """Return statistics as JSON, without a watermark that is not of a time before the Pix."""
    if statistics.watermark and not EARLIEST <= statistics.watermark <= at + _AHEAD:
        statistics = msgspec.structs.replace(statistics, watermark=None)
    return _encode(statistics).decode()


def feedback_row(
    report: Feedback,
    received_at: int,
    pseudonymiser: Pseudonymiser,
    history_sequence: int | None = None,
    following: Pseudonymiser | None = None,
) -> FeedbackRow:
    """Return the row of `pix.feedback` of one message, without personal data; `following` is of the next key."""
    row = FeedbackRow(
        source=str(report.__struct_config__.tag),
        report_id=report.report_id,
        end_to_end_id=getattr(report, "end_to_end_id", None),
        reported_at=micros(report.reported_at),
        received_at=received_at,
        history_sequence=history_sequence,
        **_particulars(report, pseudonymiser),
    )
    row = msgspec.structs.replace(row, state_hash=_state_hash(row))
    return row if following is None else msgspec.structs.replace(row, **_next_report_ids(report, following))


def _particulars(report: Feedback, pseudonymiser: Pseudonymiser) -> dict[str, Any]:
    """Return the columns of one kind of report."""
    match report:
        case MedReport():
            return _named(report, "situation_type", "analysis_result", "fraud_type", "reason") | _hop(report)
        case AnalystReport():
            analyst = pseudonymiser.person(report.analyst) if report.analyst else None
            return _named(report, "shown_because") | {"analyst_id": analyst}
        case CustomerReport():
            return _named(report)
        case FraudMarker():
            key = pseudonymiser.key(report.key) if report.key else None
            marked = {"person_id": pseudonymiser.person(report.tax_id), "key_id": key}
            return _named(report, "fraud_type", "infraction_report_id") | marked
        case RefundReport():
            return _named(report, "result", "rejection") | {"amount": _centavos(report.amount)}
        case FundsRecovery():
            graph = _encode(report.graph).decode() if report.graph else None
            return _named(report, "root_end_to_end_id") | {"graph": graph}


def _next_report_ids(report: Feedback, following: Pseudonymiser) -> dict[str, str | None]:
    """Return the columns of the pseudonyms of a report under the next key, none for a report without pseudonyms."""
    own = _particulars(report, following)
    found = {f"next_{name}": own[name] for name in REPORT_IDS if own.get(name)}
    return {"next_hmac_key": following.fingerprint} | found if found else {}


def _named(report: Feedback, *names: str) -> dict[str, Any]:
    """Return fields that are columns too, with values of enumerations as texts."""
    found = {name: getattr(report, name, None) for name in ("status", "verdict", *names)}
    return {name: None if value is None else str(value) for name, value in found.items()}


def _hop(report: MedReport) -> dict[str, Any]:
    """Return the place of a report in its funds recovery; a Pix that is not the root is at hop 2 at least."""
    hop = report.hop
    if hop is None and report.root_end_to_end_id:
        hop = 1 if report.root_end_to_end_id == report.end_to_end_id else 2
    return {
        "created_at": micros(report.created_at) if report.created_at else None,
        "funds_recovery_id": report.funds_recovery_id,
        "root_end_to_end_id": report.root_end_to_end_id,
        "hop": hop,
        "infraction_amount": _centavos(report.infraction_amount),
    }


def _centavos(amount: str | None) -> int | None:
    return None if amount is None else centavos_of(amount)


_NOT_OF_THE_STATE = ("received_at", "history_sequence", "state_hash")


def _state_hash(row: FeedbackRow) -> int:
    """Return 63 bits of the state that a report has in a row, the same at each delivery.

    It orders two states of one report that are of one time, so any order will do that does not change.
    """
    state = {name: value for name, value in row.columns().items() if name not in _NOT_OF_THE_STATE}
    return int.from_bytes(hashlib.sha256(_encode(state)).digest()[:8]) >> 1


def outcome_row(outcome: PixOutcome, received_at: int) -> OutcomeRow:
    """Return the row of `pix.outcomes` of one outcome.

    Only a return is known by its id: a word with one would be another word to history.
    """
    is_return = outcome.status is OutcomeStatus.RETURNED
    return OutcomeRow(
        end_to_end_id=outcome.end_to_end_id,
        side=outcome.side.value,
        status=outcome.status.value,
        at=micros(outcome.at),
        received_at=received_at,
        reason=outcome.reason,
        return_id=outcome.return_id if is_return else None,
        amount=outcome.centavos,
    )
