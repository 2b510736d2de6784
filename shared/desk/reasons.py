"""The reasons of a decision in words, each with up to three numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from msgspec import Struct

from shared.desk.records import MODEL_PREFIX
from shared.scoring.reason_words import Evidence, ReasonGroup, Words, reason_words
from shared.scoring.rules import Rules

NUMBERS_MAX = 3


class Shown(Struct, frozen=True):
    """A number behind a reason: its words, its unit in the catalogue, and its value, None where it is missing."""

    words: Words
    unit: str
    value: float | None


class ShownReason(Struct, frozen=True):
    """A reason: its code, its words, None for a code without any, and the numbers behind it."""

    code: str
    words: Words | None
    evidence: tuple[Shown, ...]


def explained(codes: Sequence[str], features: Mapping[str, float]) -> list[ShownReason]:
    """Return the reasons of a decision in their order; features of one group are told once.

    >>> codes = ["NIGHT_LIMIT", "MODEL:NEW_PAIR", "MODEL:PAIR_COUNT_1D"]
    >>> [reason.code for reason in explained(codes, {})]
    ['NIGHT_LIMIT', 'NEW_PAYEE']
    """
    found = dict.fromkeys(group_code(code) for code in codes)
    return [ShownReason(code, reason_words().by_code.get(code), _shown(code, features)) for code in found]


def group_code(code: str) -> str:
    """Return the code of the group of a single feature; any other code as it is."""
    words = reason_words()
    index = words.group_of.get(code.removeprefix(MODEL_PREFIX).lower()) if code.startswith(MODEL_PREFIX) else None
    return code if index is None else words.groups[index].code


def _shown(code: str, features: Mapping[str, float]) -> tuple[Shown, ...]:
    return tuple(Shown(each, each.unit, features.get(each.feature)) for each in _evidence(code)[:NUMBERS_MAX])


def _evidence(code: str) -> list[Evidence]:
    words = reason_words().by_code.get(code)
    return (
        words.evidence
        if isinstance(words, ReasonGroup)
        else [each for feature in _compared().get(code, ()) for each in _known_evidence().get(feature, ())]
    )


@cache
def _known_evidence() -> Mapping[str, tuple[Evidence, ...]]:
    """Return the words of each feature that some reason shows."""
    return {each.feature: (each,) for group in reason_words().groups for each in group.evidence}


@cache
def _compared() -> Mapping[str, tuple[str, ...]]:
    """Return the features that each rule compares."""
    return {rule.code: tuple(each.feature for each in rule.when) for rule in Rules.load().rules}
