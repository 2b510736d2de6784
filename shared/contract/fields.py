"""Field types that several messages share: patterns, enumerations and their bounds."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

_END = r"$(?!\n)"  # Python's `$` also matches before a final newline; ECMA's does not

EndToEndId = Annotated[
    str,
    Meta(
        pattern="^[ED][0-9A-Z]{8}[0-9]{12}[0-9A-Za-z]{11}" + _END,
        description="EndToEndId: E or D, ISPB (8), yyyyMMddHHmm in UTC, 11 alphanumerics.",
    ),
]
Instant = Annotated[dt.datetime, Meta(tz=True, description="RFC 3339 time with an offset.")]
Amount = Annotated[
    str, Meta(pattern=r"^[0-9]{1,13}(\.[0-9]{1,2})?" + _END, description="BRL as a decimal string, more than 0.")
]
TaxId = Annotated[
    str, Meta(pattern="^([0-9]{11}|[0-9A-Z]{12}[0-9]{2})" + _END, description="CPF or CNPJ without punctuation.")
]
Ispb = Annotated[str, Meta(pattern="^[0-9A-Z]{8}" + _END, description="ISPB of the institution.")]
NOBODY = "99999999"
"""The ISPB of payer and payee in the smoke test's Pix (infra/deploy/smoke.py).

Training, drift and alerts on rows exclude it; metrics of the functions, and alerts on them, include it.

It does not belong to any participant. An ISPB is the root of a CNPJ: all-digit roots were assigned in order, and
new ones have letters since July 2026, long before this root was reached. Banco Central's own tests, too, use 99999...
for institutions that do not exist.
"""
Branch = Annotated[str, Meta(pattern="^[0-9A-Za-z]{1,6}" + _END)]
Account = Annotated[str, Meta(pattern="^[0-9A-Za-z-]{1,20}" + _END)]
PixKey = Annotated[str, Meta(min_length=1, max_length=77, description="Chave: the alias of an account in DICT.")]
OpaqueId = Annotated[str, Meta(pattern="^[!-~]{1,128}" + _END, description="Printable ASCII without spaces.")]
Count = Annotated[int, Meta(ge=0, le=2**53)]


class InitiationForm(StrEnum):
    """How the payer identified the payee (`localInstrument` of the SPI's pacs.008)."""

    MANU = "MANU"
    DICT = "DICT"
    INIC = "INIC"
    QRDN = "QRDN"
    QRES = "QRES"
    AUTO = "AUTO"
    APDN = "APDN"


class Purpose(StrEnum):
    """Purpose of a transfer: payment, withdrawal (Pix Saque), change (Pix Troco) or refund."""

    IPAY = "IPAY"
    GSCB = "GSCB"
    OTHR = "OTHR"
    REFU = "REFU"


class AccountType(StrEnum):
    """Current, payment, salary or savings account."""

    CACC = "CACC"
    TRAN = "TRAN"
    SLRY = "SLRY"
    SVGS = "SVGS"


class KeyType(StrEnum):
    """Kind of the key (chave) by which the payee was found."""

    CPF = "CPF"
    CNPJ = "CNPJ"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    EVP = "EVP"


class Verdict(StrEnum):
    """Judgement of a Pix by reports about it."""

    FRAUD = "FRAUD"
    LEGITIMATE = "LEGITIMATE"
    PENDING = "PENDING"
