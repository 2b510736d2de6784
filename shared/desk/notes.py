"""Notes of analysts, which hold no personal data as far as their form tells."""

from __future__ import annotations

import re

NOTE_MAX = 500
"""Characters of a note, at most."""
_PERSONAL = (
    re.compile(r"@"),
    re.compile(r"(?:\d[\s./()-]?){7,}"),  # CPF, CNPJ, phone, account; amounts are shorter
    re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-"),  # an EVP key
    re.compile(r"\b[A-ZÀ-Ý][a-zà-ÿ]+ (?:d[aeo]s? )?[A-ZÀ-Ý][a-zà-ÿ]+"),  # name and surname
)


def has_personal_data(note: str) -> bool:
    """Return whether a note looks as if it named a person, a document, a phone, an account or a key.

    >>> has_personal_data("Cliente João da Silva confirmou"), has_personal_data("CPF 123.456.789-09")
    (True, True)
    >>> has_personal_data("Payee got 12 Pix of R$ 1.500,00 in an hour; call unanswered")
    False
    """
    return any(pattern.search(note) for pattern in _PERSONAL)
