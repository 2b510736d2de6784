"""Random but well-formed identifiers of people, companies, accounts and keys."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

DIGITS = np.frombuffer(b"0123456789", np.uint8)
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
UPPER = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)
LOWER = np.frombuffer(b"0123456789abcdefghijklmnopqrstuvwxyz", np.uint8)
ALPHANUMERIC = np.frombuffer(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)

_CPF_WEIGHTS = ([10, 9, 8, 7, 6, 5, 4, 3, 2], [11, 10, 9, 8, 7, 6, 5, 4, 3, 2])
_CNPJ_WEIGHTS = ([5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2], [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])
_AREA_CODES = (11, 12, 13, 19, 21, 22, 24, 27, 31, 34, 41, 43, 47, 48, 51, 54, 61, 62, 65, 67, 71, 75, 79, 81, 83, 84)
_SYLLABLES = (
    "an",
    "ma",
    "ri",
    "jo",
    "lu",
    "pe",
    "dro",
    "ga",
    "bri",
    "el",
    "fer",
    "nan",
    "ca",
    "mi",
    "la",
    "san",
    "to",
)
_MAIL_HOSTS = ["gmail.com", "hotmail.com", "outlook.com", "yahoo.com.br", "icloud.com", "uol.com.br", "bol.com.br"]


def check_digits(body: str) -> str:
    """Return the two check digits of a CPF (9 characters) or a CNPJ (12, letters allowed).

    A letter has the value of its ASCII code minus 48 (Receita Federal, IN RFB 2.229/2024, alphanumeric CNPJ).

    >>> check_digits("123456789"), check_digits("12ABC34501DE")
    ('09', '35')
    """
    for weights in _CPF_WEIGHTS if len(body) == 9 else _CNPJ_WEIGHTS:
        rest = sum(weight * (ord(char) - 48) for weight, char in zip(weights, body, strict=True)) % 11
        body += "0" if rest < 2 else str(11 - rest)
    return body[-2:]


def strings(rng: Generator, alphabet: NDArray[np.uint8], count: int, length: int) -> list[str]:
    """Draw `count` strings of `length` characters of the alphabet."""
    drawn = alphabet[rng.integers(0, len(alphabet), (count, length))]
    return drawn.view(f"S{length}").ravel().astype(str).tolist()


def distinct(count: int, draw: Callable[[int], list[str]]) -> list[str]:
    """Draw until there are `count` distinct values; keep the order of the draws."""
    seen: dict[str, None] = {}
    while len(seen) < count:
        seen.update(dict.fromkeys(draw(count - len(seen))))
    return list(seen)


def cpfs(rng: Generator, count: int) -> list[str]:
    """Draw distinct CPFs with valid check digits."""
    return [body + check_digits(body) for body in distinct(count, lambda n: strings(rng, DIGITS, n, 9))]


def cnpjs(rng: Generator, alphanumeric: NDArray[np.bool_]) -> list[str]:
    """Draw distinct CNPJs with valid check digits; flagged ones have an alphanumeric root."""
    count = len(alphanumeric)
    plain = distinct(count, lambda n: strings(rng, DIGITS, n, 8))
    mixed = distinct(count, lambda n: strings(rng, UPPER, n, 8))
    roots = (new if flag else old for old, new, flag in zip(plain, mixed, alphanumeric.tolist(), strict=True))
    return [f"{root}0001" + check_digits(f"{root}0001") for root in roots]


def phones(rng: Generator, count: int) -> list[str]:
    """Draw distinct Brazilian mobile numbers in E.164 form."""

    def draw(n: int) -> list[str]:
        areas = rng.integers(0, len(_AREA_CODES), n)
        tails = strings(rng, DIGITS, n, 8)
        return [f"+55{_AREA_CODES[area]}9{tail}" for area, tail in zip(areas.tolist(), tails, strict=True)]

    return distinct(count, draw)


def emails(rng: Generator, count: int) -> list[str]:
    """Draw distinct e-mail addresses."""

    def draw(n: int) -> list[str]:
        syllables = rng.integers(0, len(_SYLLABLES), (n, 4)).tolist()
        host = rng.integers(0, len(_MAIL_HOSTS), n).tolist()
        number = rng.integers(0, 9999, n).tolist()
        names = ("".join(_SYLLABLES[syllable] for syllable in parts) for parts in syllables)
        return [f"{name}{c}@{_MAIL_HOSTS[d]}" for name, c, d in zip(names, number, host, strict=True)]

    return distinct(count, draw)


def uuids(rng: Generator, count: int) -> list[str]:
    """Draw UUIDs (version 4), for random keys (EVP), report ids and some device ids."""
    texts = strings(rng, HEX, count, 31)
    variants = strings(rng, np.frombuffer(b"89ab", np.uint8), count, 1)
    return [
        f"{t[:8]}-{t[8:12]}-4{t[12:15]}-{variant}{t[15:18]}-{t[18:30]}"
        for t, variant in zip(texts, variants, strict=True)
    ]
