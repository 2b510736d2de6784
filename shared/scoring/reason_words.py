"""Words of reasons in Portuguese and English, and the groups of features told as one, from `reasons.yaml`."""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta, Struct

from shared import yaml_file
from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES, FEATURES, SLICES

REASONS_FILE = Path(__file__).with_name("reasons.yaml")

Code = Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]*$")]
_UNITS = {feature.name: feature.unit for feature in FEATURES}


class Words(Struct, frozen=True, forbid_unknown_fields=True):
    """One meaning in two languages."""

    pt: str
    """Portuguese."""
    en: str
    """English."""


class UnitWords(Words, frozen=True):
    """A unit in two languages, in the plural, and in the singular where that differs."""

    one: Words | None = None
    """For the value 1."""

    def of(self, value: float, language: str) -> str:
        """Return the unit of a value.

        >>> days = UnitWords(pt="dias", en="days", one=Words(pt="dia", en="day"))
        >>> days.of(1.0, "pt"), days.of(1.5, "en")
        ('dia', 'days')
        """
        return str(getattr(self.one if value == 1 and self.one else self, language))


class Evidence(Words, frozen=True):
    """A number behind a reason: a feature of the row, and its name in words."""

    feature: str
    """Name in the catalogue."""

    @property
    def unit(self) -> str:
        """The unit in the catalogue, a key of `ReasonWords.units`."""
        return _UNITS[self.feature]


class ReasonGroup(Words, frozen=True):
    """Features whose contributions to a score are summed and told as one reason."""

    code: Code
    """Reason code in `score_events`."""
    features: Annotated[list[str], Meta(min_length=1)]
    """Entries of the catalogue: names of features, and stems of families; each entry is in one group."""
    evidence: Annotated[list[Evidence], Meta(min_length=1, max_length=3)]
    """The numbers to show beside the reason, most telling first."""

    def names(self) -> list[str]:
        """Return the names of its features, families spelt out."""
        return [name for entry in self.features for name in FEATURE_NAMES[SLICES[entry]]]


class ReasonWords(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Every reason code with its words."""

    units: dict[str, UnitWords]
    """Units of the catalogue in words."""
    groups: list[ReasonGroup]
    """The reasons of a model, in the order of the contributions that a bundle computes."""
    codes: dict[Code, Words]
    """The reasons of rules, and those that the system adds."""

    def __post_init__(self) -> None:
        names = [name for group in self.groups for name in group.names()]
        if sorted(names) != sorted(FEATURE_NAMES):
            raise ValueError(f"not in one group each: {sorted(_uneven(names))}")
        for group in self.groups:
            if foreign := {each.feature for each in group.evidence} - set(group.names()):
                raise ValueError(f"{group.code} shows features of another group: {sorted(foreign)}")

    @cached_property
    def by_code(self) -> dict[str, Words]:
        """The words of every code, of groups and others."""
        return {**self.codes, **{group.code: group for group in self.groups}}

    @cached_property
    def group_of(self) -> dict[str, int]:
        """The index of the group of each feature by name."""
        return {name: index for index, group in enumerate(self.groups) for name in group.names()}


@cache
def reason_words() -> ReasonWords:
    """Return the words of `reasons.yaml`. Raises Misconfigured."""
    try:
        return msgspec.convert(yaml_file.read(REASONS_FILE), ReasonWords)
    except (OSError, KeyError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise Misconfigured(f"{REASONS_FILE.name}: {error}") from error


def _uneven(names: list[str]) -> set[str]:
    """Return the features that are in no group or in more than one."""
    return (set(FEATURE_NAMES) - set(names)) | {name for name in names if names.count(name) > 1}
