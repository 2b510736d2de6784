"""A Pix as it is published to `pix-transactions`."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

import msgspec
from msgspec import UNSET, Struct, UnsetType

from shared.contract.decoding import TolerantDecoder
from shared.contract.event import in_range
from shared.contract.fields import (
    Account,
    AccountType,
    Amount,
    Authentication,
    Branch,
    Channel,
    Count,
    EndToEndId,
    Geolocation,
    InitiationForm,
    Instant,
    Ispb,
    KeyType,
    NightStart,
    OpaqueId,
    OpenEnum,
    PixKey,
    Purpose,
    ServiceLevel,
    Side,
    TaxId,
    centavos_of,
)
from shared.contract.joined_texts import JoinedTexts
from shared.errors import Malformed

ID_TOLERANCE = dt.timedelta(hours=12)
"""Between the minute of an EndToEndId and the time at which the Pix was initiated, or is scheduled for (SPI)."""


class _Message(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    pass


class Window(_Message, frozen=True):
    """A count over windows (DICT OpenAPI 2.6): 90 days with today; 12 and 60 months without the current month."""

    d90: Count
    m12: Count
    m60: Count


class AmountWindow(_Message, frozen=True):
    """An amount in BRL over the same windows."""

    d90: Amount
    m12: Amount
    m60: Amount


class FraudMarkers(_Message, frozen=True):
    """Fraud markers of a person or key in DICT, by type."""

    application_frauds: Window | None = None
    mule_accounts: Window | None = None
    scammer_accounts: Window | None = None
    other_frauds: Window | None = None
    unknown_frauds: Window | None = None


class InfractionReports(_Message, frozen=True):
    """Infraction reports of a person or key in DICT."""

    open: Count | None = None
    rejected: Window | None = None
    distinct_reporters: Window | None = None


class Statistics(_Message, frozen=True):
    """Statistics of a person in DICT when the Pix was initiated."""

    watermark: Instant | None = None
    settlements: Window | None = None
    fraud_markers: FraudMarkers | None = None
    infraction_reports: InfractionReports | None = None
    total_fraud_amount: AmountWindow | None = None
    registered_accounts: Count | None = None


class CustomerLimits(_Message, frozen=True):
    """The payer's own limits, in BRL, where the payer asked the institution for others than the norm's."""

    night: Amount | None = None
    night_from: NightStart | None = None
    day: Amount | None = None


class Spent(_Message, frozen=True):
    """The institution's own sums before this Pix, in BRL; they win over those of history."""

    night: Amount | None = None
    day: Amount | None = None
    unregistered_devices_today: Amount | None = None


class Payer(_Message, frozen=True):
    """The paying account; an `entrepreneur` (MEI) is no natural person for the limit of the night."""

    tax_id: TaxId
    ispb: Ispb
    account: Account
    branch: Branch | None = None
    account_type: AccountType | None = None
    opened_at: dt.date | None = None
    entrepreneur: bool = False
    limits: CustomerLimits | None = None
    spent: Spent | None = None
    balance_before: Amount | None = None
    statistics: Statistics | None = None


class Payee(_Message, frozen=True):
    """The receiving account, and the key by which it was found."""

    ispb: Ispb
    account: Account
    tax_id: TaxId | None = None
    branch: Branch | None = None
    account_type: AccountType | None = None
    opened_at: dt.date | None = None
    key: PixKey | None = None
    key_type: KeyType | None = None
    key_owned_since: dt.date | None = None
    key_created_at: Instant | None = None
    key_claim_opened_at: Instant | None = None
    registered_by_payer: bool | None = None


class Device(_Message, frozen=True):
    """The payer's device; a null `registered_at` means unregistered, an absent one unknown."""

    id: OpaqueId
    registered_at: Instant | UnsetType | None = UNSET


class Session(_Message, frozen=True):
    """The session in which the payer asked."""

    channel: Channel | None = None
    authentication: Authentication | None = None
    started_at: Instant | None = None
    geolocation: Geolocation | None = None
    cell: OpaqueId | None = None
    network: OpaqueId | None = None
    remote_access: bool | None = None
    active_call: bool | None = None
    credentials_changed_at: Instant | None = None
    limits_raised_at: Instant | None = None


class Automatic(_Message, frozen=True):
    """The authorisation of a Pix Automático, and the number of this charge under it."""

    mandate: OpaqueId
    authorised_at: Instant | None = None
    charge: Count | None = None


class Transaction(_Message, frozen=True):
    """One Pix. `amount` is the decimal string of the message, `centavos` the integer used for computing."""

    end_to_end_id: EndToEndId
    initiated_at: Instant
    amount: Amount
    initiation_form: InitiationForm
    payer: Payer
    payee: Payee
    purpose: Purpose = Purpose.IPAY
    device: Device | None = None
    payee_statistics: Statistics | None = None
    side: Side = Side.PAYER
    scheduled_for: Instant | None = None
    service_level: ServiceLevel | None = None
    session: Session | None = None
    automatic: Automatic | None = None
    initiator: Ispb | None = None

    @property
    def centavos(self) -> int:
        """Return the amount in centavos.

        >>> decode_transaction(EXAMPLE).value.centavos
        15050
        """
        return centavos_of(self.amount)

    def unknown_values(self) -> list[str]:
        """Return the names of the fields whose value is one that the contract does not know.

        >>> decode_transaction(EXAMPLE.replace(b"DICT", b"NEWF")).value.unknown_values()
        ['initiation_form']
        """
        payer, payee = self.payer, self.payee
        if (
            self.initiation_form is not InitiationForm.OTHER
            and self.purpose is not Purpose.OTHER
            and payer.account_type is not AccountType.OTHER
            and payee.account_type is not AccountType.OTHER
            and payee.key_type is not KeyType.OTHER
            and self.service_level is not ServiceLevel.OTHER
            and self.session is None
        ):
            return []
        session = self.session or Session()
        values: dict[str, OpenEnum | None] = {
            "initiation_form": self.initiation_form,
            "purpose": self.purpose,
            "payer.account_type": payer.account_type,
            "payee.account_type": payee.account_type,
            "payee.key_type": payee.key_type,
            "service_level": self.service_level,
            "session.channel": session.channel,
            "session.authentication": session.authentication,
            "session.geolocation": session.geolocation,
        }
        return [name for name, value in values.items() if value == "OTHER"]


def _check(transaction: Transaction) -> None:
    """Check the conditions that a pattern cannot express. Raises Malformed."""
    if not transaction.amount.strip("0."):
        raise Malformed("invalid_value", "amount")
    at, scheduled = transaction.initiated_at, transaction.scheduled_for
    check_instant("initiated_at", at)
    minute = _minute(transaction.end_to_end_id[9:21])
    if minute is None or not (
        abs(minute - at) <= ID_TOLERANCE or (scheduled is not None and abs(minute - scheduled) <= ID_TOLERANCE)
    ):
        raise Malformed("invalid_value", "end_to_end_id")


def check_instant(field: str, instant: dt.datetime) -> None:
    """Check that a required instant is within the years that tables and features hold. Raises Malformed."""
    if not in_range(instant):
        raise Malformed("invalid_value", field)


def check_end_to_end_id(end_to_end_id: str, field: str = "end_to_end_id") -> None:
    """Check that the id's yyyyMMddHHmm is a valid time within the years of an instant. Raises Malformed."""
    if _minute(end_to_end_id[9:21]) is None:
        raise Malformed("invalid_value", field)


@lru_cache(maxsize=1024)  # messages of one batch were initiated within a few minutes
def _minute(text: str) -> dt.datetime | None:
    """Return the minute of an id, None if it is not one of the years of an instant."""
    year, month, day, hour = int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10])
    try:
        minute = dt.datetime(year, month, day, hour, int(text[10:]), tzinfo=dt.UTC)
    except ValueError:
        return None
    return minute if in_range(minute) else None


_PATHS = (
    *("end_to_end_id", "amount", "payer.tax_id", "payer.ispb", "payer.account", "payer.branch"),
    *("payee.ispb", "payee.account", "payee.tax_id", "payee.branch", "device.id"),
)
_TAX_ID, _BRANCH, _DEVICE = "00000000000", "0", "-"  # well-formed, for one that is missing


def _texts(transaction: Transaction) -> tuple[str, ...]:
    """Return the texts at _PATHS."""
    payer, payee, device = transaction.payer, transaction.payee, transaction.device
    return (
        transaction.end_to_end_id,
        transaction.amount,
        payer.tax_id,
        payer.ispb,
        payer.account,
        _BRANCH if payer.branch is None else payer.branch,
        payee.ispb,
        payee.account,
        _TAX_ID if payee.tax_id is None else payee.tax_id,
        _BRANCH if payee.branch is None else payee.branch,
        _DEVICE if device is None else device.id,
    )


decode_transaction = TolerantDecoder(Transaction, _check, JoinedTexts(Transaction, _PATHS, _texts))
"""Decode one message of `pix-transactions`; raises Malformed."""

EXAMPLE = msgspec.json.encode(
    {
        "end_to_end_id": "E12345678202611201432a1b2c3d4e5f",
        "initiated_at": "2026-11-20T14:32:05.123Z",
        "amount": "150.50",
        "initiation_form": "DICT",
        "payer": {"tax_id": "12345678909", "ispb": "12345678", "account": "1234567"},
        "payee": {"ispb": "87654321", "account": "7654321"},
    }
)
