"""Documents that a finding rests on, named by kind and id; no id is personal data."""

from __future__ import annotations

import re

from shared.contract.end_to_end_id import minute_of

_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_PERSONAL = re.compile(r"[\d.-]{8,18}")  # CPF, CNPJ, phone, account
_PIX = re.compile(r"[DE][A-Z0-9]{8}\d{12}[A-Za-z0-9]{11}")
KINDS = ("REPORT", "MARKER", "RECOVERY", "PIX")
"""Infraction reports, fraud markers, funds recoveries, and Pix."""


def is_document(text: str) -> bool:
    """Return whether a text names a document as KIND:ID.

    >>> is_document("PIX:E12345678202611201432a1b2c3d4e5f"), is_document("REPORT:91d65e98-97c0-4b0f")
    (True, True)
    >>> is_document("CPF:1"), is_document("REPORT:12345678909")
    (False, False)
    """
    kind, _, id_ = text.partition(":")
    if kind == "PIX":
        return bool(_PIX.fullmatch(id_)) and minute_of(id_) is not None
    return kind in KINDS and bool(_ID.fullmatch(id_)) and not _PERSONAL.fullmatch(id_)
