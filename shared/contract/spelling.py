"""One spelling of branches, accounts and keys, so that one account or key has one pseudonym.

The spelling is that of the SPI and of DICT where publishers keep to it; such texts stay as they are.
"""

from __future__ import annotations

import re

from shared.contract.fields import KeyType

HEAD_OFFICE = "0001"
"""The branch of an account without one.

A branch is optional in the SPI. Institutions without branches send 0001, zeros or none for one and the same account,
and the account without a branch of an institution with branches is taken as one of its head office. To leave the
branch out for all would merge accounts of different branches: many banks number the accounts of each branch from 1.
"""
_BRAZIL = "55"
_NUMBER = (10, 11)  # digits of a Brazilian telephone number with its area code
_BETWEEN = re.compile(r"[\s().\-/]+")
_AS_IN_DICT = re.compile(r"\+[0-9]+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_EVP = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})")
_CNPJ = re.compile("[0-9A-Z]{12}[0-9]{2}")


def branch_spelling(branch: str | None) -> str:
    """Return the branch in capitals and at least four characters, filled by zeros; none or zeros: HEAD_OFFICE.

    >>> branch_spelling("1"), branch_spelling(None), branch_spelling("00012")
    ('0001', '0001', '0012')
    """
    return branch.upper().lstrip("0").rjust(4, "0") if branch and branch.strip("0") else HEAD_OFFICE


def account_spelling(account: str) -> str:
    """Return the account in capitals, without hyphens and leading zeros.

    >>> account_spelling("0076543-x")
    '76543X'
    """
    return account.replace("-", "").upper().lstrip("0") or "0"


def key_spelling(key: str, kind: KeyType | None = None) -> str:
    """Return the key as DICT has it: e-mail and EVP without case, phone with +55, CPF and CNPJ without punctuation.

    Only eleven digits without a plus need `kind`. Without it, they are a CPF if their check digits are right, else a
    phone.

    >>> key_spelling("Ana@Example.com"), key_spelling("(11) 99999-9999"), key_spelling("123.456.789-09")
    ('ana@example.com', '+5511999999999', '12345678909')
    """
    text = key.strip()
    if _AS_IN_DICT.fullmatch(text):
        return text
    if "@" in text:
        return text.lower()
    plain = _BETWEEN.sub("", text)
    if plain.isascii() and plain.removeprefix("+").isdigit():
        return _digits_spelling(plain, kind)
    if evp := _EVP.fullmatch(text.lower()):
        return "-".join(evp.groups())
    return plain.upper() if _CNPJ.fullmatch(plain.upper()) else text.lower()


def _digits_spelling(digits: str, kind: KeyType | None) -> str:
    if digits[0] == "+":
        return digits
    if len(digits) == 14 and kind is not KeyType.PHONE:
        return digits
    if len(digits) == 11 and kind is not KeyType.PHONE and (kind is KeyType.CPF or _is_cpf(digits)):
        return digits
    return _phone_spelling(digits)


def _phone_spelling(digits: str) -> str:
    number = digits.lstrip("0")
    if len(number) in _NUMBER:
        return f"+{_BRAZIL}{number}"
    if number.startswith(_BRAZIL) and len(number) - len(_BRAZIL) in _NUMBER:
        return f"+{number}"
    return digits


def _is_cpf(digits: str) -> bool:
    """Return whether the last two of eleven digits are the check digits of the others (modulo 11)."""
    numbers = [int(digit) for digit in digits]
    return all(_check_digit(numbers[:length]) == numbers[length] for length in (9, 10))


def _check_digit(numbers: list[int]) -> int:
    weighted = sum(number * weight for number, weight in zip(numbers, range(len(numbers) + 1, 1, -1), strict=True))
    return weighted * 10 % 11 % 10
