"""Field types that several messages share: patterns, enumerations and their bounds."""

from __future__ import annotations

import datetime as dt
import re
from enum import StrEnum
from typing import Annotated, Self

from msgspec import Meta

END = r"$(?!\n)"  # Python's `$` also matches before a final newline; ECMA's does not

EndToEndId = Annotated[
    str,
    Meta(
        pattern="^[ED][0-9A-Z]{8}[0-9]{12}[0-9A-Za-z]{11}" + END,
        description="EndToEndId: E or D, ISPB (8), yyyyMMddHHmm in UTC, 11 alphanumerics.",
    ),
]
Instant = Annotated[dt.datetime, Meta(tz=True, description="RFC 3339 time with an offset.")]
Amount = Annotated[
    str,
    Meta(pattern=r"^[0-9]{1,13}(\.[0-9]{1,2})?" + END, description="BRL as a decimal string, more than 0."),
]


def centavos_of(amount: str) -> int:
    """Return an amount in centavos.

    >>> centavos_of("150.5")
    15050
    """
    if amount[-3:-2] == ".":  # as most publishers write it
        return int(amount[:-3] + amount[-2:])
    reais, _, cents = amount.partition(".")
    return int(reais) * 100 + int(cents.ljust(2, "0"))


TaxId = Annotated[
    str,
    Meta(pattern="^([0-9]{11}|[0-9A-Z]{12}[0-9]{2})" + END, description="CPF or CNPJ without punctuation."),
]
Ispb = Annotated[str, Meta(pattern="^[0-9A-Z]{8}" + END, description="ISPB of the institution.")]
NOBODY = "99999999"
"""The ISPB of payer and payee in the smoke test's Pix (infra/deploy/smoke.py).

Training, drift and alerts on rows exclude it; metrics of the functions, and alerts on them, include it.

It does not belong to any participant. An ISPB is the root of a CNPJ: all-digit roots were assigned in order, and
new ones have letters since July 2026, long before this root was reached. Banco Central's own tests, too, use 99999...
for institutions that do not exist.
"""
Branch = Annotated[str, Meta(pattern="^[0-9A-Za-z]{1,6}" + END)]
Account = Annotated[str, Meta(pattern="^[0-9A-Za-z-]{1,20}" + END)]
NightStart = Annotated[
    str,
    Meta(pattern="^2[0-3]:[0-5][0-9]" + END, description="Local time at which the customer's night begins."),
]
PixKey = Annotated[str, Meta(min_length=1, max_length=77, description="Chave: the alias of an account in DICT.")]
OpaqueId = Annotated[str, Meta(pattern="^[!-~]{1,128}" + END, description="Printable ASCII without spaces.")]
Count = Annotated[int, Meta(ge=0, le=2**53)]


CODE = "^[A-Z0-9_]{1,20}" + END
"""The form of an unknown value of an enumeration; a text of another form may be personal data, and is malformed."""
_is_code = re.compile(CODE).match


class OpenEnum(StrEnum):
    """An enumeration to which a norm may add values.

    Such a value, of capitals, digits and underscores, decodes to the member OTHER that each subclass has.

    >>> Purpose("NEWP")
    <Purpose.OTHER: 'OTHER'>
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls("OTHER") if isinstance(value, str) and _is_code(value) else None

    @classmethod
    def known(cls) -> tuple[str, ...]:
        """Return the values that the contract names.

        >>> KeyType.known()
        ('CPF', 'CNPJ', 'PHONE', 'EMAIL', 'EVP')
        """
        return tuple(member.value for member in cls if member.value != "OTHER")


class InitiationForm(OpenEnum):
    """Form of initiation, as in the SPI's pacs.008 (`MndtRltdInf/Tp/LclInstrm/Prtry`, catalogue 5.13).

    By data of the account (MANU), a key (DICT), an initiator (INIC), a dynamic or static QR code (QRDN, QRES), Pix
    Automático (AUTO), or by contactless reading (Pix por aproximação) of the data of a dynamic or static QR code
    (APDN, APES). OTHER is any other.
    """

    MANU = "MANU"
    DICT = "DICT"
    INIC = "INIC"
    QRDN = "QRDN"
    QRES = "QRES"
    AUTO = "AUTO"
    APDN = "APDN"
    APES = "APES"
    OTHER = "OTHER"


class Purpose(OpenEnum):
    """Purpose of a transfer, as in the SPI's pacs.008 (catalogue 5.13).

    Payment (IPAY), Pix Troco (GSCB: a purchase with change), Pix Saque (OTHR: a withdrawal), reimbursement of the
    payer's PSP under the MED (REFU: it had used its own money for Pix Automático) and refund of a later hop under
    MED 2.0 (IPRT). OTHER is any other.
    """

    IPAY = "IPAY"
    GSCB = "GSCB"
    OTHR = "OTHR"
    REFU = "REFU"
    IPRT = "IPRT"
    OTHER = "OTHER"


class AccountType(OpenEnum):
    """Current (CACC), payment (TRAN), salary (SLRY) or savings account (SVGS), or a PSP's own Conta PI (OTHR).

    OTHER is any other.
    """

    CACC = "CACC"
    TRAN = "TRAN"
    SLRY = "SLRY"
    SVGS = "SVGS"
    OTHR = "OTHR"
    OTHER = "OTHER"


class KeyType(OpenEnum):
    """Kind of the key (chave) by which the payee was found; OTHER is any other."""

    CPF = "CPF"
    CNPJ = "CNPJ"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    EVP = "EVP"
    OTHER = "OTHER"


class Side(StrEnum):
    """The institution that asks about a Pix: the payer's or the payee's."""

    PAYER = "PAYER"
    PAYEE = "PAYEE"


class ServiceLevel(OpenEnum):
    """Priority of a Pix in the SPI's pacs.008.

    At once (PAGPRI), scheduled (PAGAGD) or retained for an analysis of fraud (PAGFRD). OTHER is any other.
    """

    PAGPRI = "PAGPRI"
    PAGAGD = "PAGAGD"
    PAGFRD = "PAGFRD"
    OTHER = "OTHER"


class Channel(OpenEnum):
    """Channel by which the payer asked; OTHER is any other."""

    APP = "APP"
    WEB = "WEB"
    API = "API"
    BRANCH = "BRANCH"
    ATM = "ATM"
    PHONE = "PHONE"
    OTHER = "OTHER"


class Authentication(OpenEnum):
    """Means by which the payer proved to be the customer; OTHER is any other."""

    PASSWORD = "PASSWORD"  # noqa: S105 (a word of the contract)
    PIN = "PIN"
    BIOMETRY = "BIOMETRY"
    TOKEN = "TOKEN"  # noqa: S105 (a word of the contract)
    NONE = "NONE"
    OTHER = "OTHER"


class Geolocation(OpenEnum):
    """Whether the device's location is known; OTHER is any other."""

    KNOWN = "KNOWN"
    UNKNOWN = "UNKNOWN"
    OFF = "OFF"
    OTHER = "OTHER"


class Verdict(StrEnum):
    """Judgement of a Pix by reports about it."""

    FRAUD = "FRAUD"
    LEGITIMATE = "LEGITIMATE"
    PENDING = "PENDING"
