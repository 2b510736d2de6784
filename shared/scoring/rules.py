"""Rules of norms and policy, as data in `rules.yaml`; they apply whatever the model's score."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
import yaml
from msgspec import Meta, Struct
from numpy.typing import NDArray

from shared import yaml_file
from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES

RULES_FILE = Path(__file__).with_name("rules.yaml")

Side = Literal["PAYER", "PAYEE"]
"""The institution that asks for a decision: the payer's or the payee's."""
Scope = Literal["person_to_person", "night", "unregistered_device", "not_automatic"]

_SIDE = FEATURE_NAMES.index("side")
_CHUNK = 16_384  # vectors compared at a time, to bound memory in training
_COMPARE: dict[str, np.ufunc] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


class Decision(IntEnum):
    """Severity of a decision about a Pix; `name_of` gives its name by side.

    HOLD is the retention by the payer's institution, before settlement. On the payee's side the same severity is
    BLOCK, after credit (bloqueio cautelar). Their times are in shared/features/limits.yaml.
    """

    APPROVE = 0
    HOLD = 1
    REJECT = 2

    def name_of(self, side: Side) -> str:
        """Return the name of the decision on a side.

        >>> Decision.HOLD.name_of("PAYER"), Decision.HOLD.name_of("PAYEE"), Decision.REJECT.name_of("PAYEE")
        ('HOLD', 'BLOCK', 'REJECT')
        """
        return "BLOCK" if self is Decision.HOLD and side == "PAYEE" else self.name


class Condition(Struct, frozen=True, forbid_unknown_fields=True):
    """A comparison of one feature with a number; the rule's `when_missing` decides if the feature is missing."""

    feature: str
    op: Literal[">", ">=", "<", "<=", "=="]
    value: float


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """A reason code with its decision, the Pix that it is meant for, and conditions, all of which have to be met.

    Rules with one code are alternatives: if several fire, the code is named once.
    """

    code: Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]*$")]
    """Reason of the decision."""
    side: Literal["PAYER", "PAYEE", "ANY"]
    """Institution whose decisions the rule is for. A vector without a side is the payer's."""
    decision: Literal["HOLD", "REJECT"]
    """Decision if the rule fires; on the payee's side HOLD is BLOCK."""
    shown: Literal["REFUSED_BY_LIMIT", "HELD_FOR_REVIEW", "REFUSED_FOR_SECURITY"]
    """Message for the customer's app; always HELD_FOR_REVIEW where a rule gives HOLD for want of a feature."""
    norm: str
    """Source of the rule, and which part of it was not read in full."""
    when_missing: Literal["fire", "skip"]
    """Meaning of a missing feature in `when`: `skip`, the condition is not met; `fire`, it counts as met.

    A rule that fires only because a feature is missing gives at most HOLD: nobody knows that the limit is exceeded.
    """
    when: Annotated[list[Condition], Meta(min_length=1)]
    """Conditions, all of which have to be met."""
    scope: list[Scope] = []
    """Pix that the rule is meant for, all names together; each has its own meaning of a missing feature.

    person_to_person     person_to_person != 0: between natural persons, neither an entrepreneur; not known: in scope
    night                night == 1: in the payer's hours of the night limit; not known: out of scope
    unregistered_device  device_unregistered == 1; nothing known of a device: out of scope
    not_automatic        form_auto != 1: not Pix Automático; form not known: in scope
    """

    def __post_init__(self) -> None:
        if self.decision == "HOLD" and self.shown != "HELD_FOR_REVIEW":
            raise ValueError(f"{self.code} holds a Pix, which is not {self.shown}")


class _Test(NamedTuple):
    """A comparison of a column with a number, and whether a missing value meets it: certainly, and possibly."""

    column: int
    op: str
    value: float
    certain: bool
    possible: bool


_SCOPES: dict[str, tuple[str, str, float]] = {
    "person_to_person": ("person_to_person", "!=", 0),
    "night": ("night", "==", 1),
    "unregistered_device": ("device_unregistered", "==", 1),
    "not_automatic": ("form_auto", "!=", 1),
}
_SIDES: dict[str, list[tuple[str, str, float]]] = {
    "PAYER": [("side", "!=", 1)],
    "PAYEE": [("side", "==", 1)],
    "ANY": [],
}


class FiredRules(NamedTuple):
    """Rules that fired on n transactions: the severest decision int8 [n], and the codes of each transaction."""

    severity: NDArray[np.int8]
    codes: list[tuple[str, ...]]


class Rules:
    """A list of rules, applied to a batch of feature vectors at once."""

    def __init__(self, rules: list[Rule]) -> None:
        """Raise Misconfigured if a rule names a feature that does not exist."""
        self.rules = rules
        of_rules = [_tests(rule) for rule in rules]
        # Rules share tests, which are made once, those of one operator side by side.
        every = sorted(dict.fromkeys(test for tests in of_rules for test in tests), key=lambda test: test.op)
        self._columns = np.array([test.column for test in every], dtype=np.intp)
        self._values = np.array([[test.value] for test in every], dtype=np.float32)
        self._certain = np.array([[test.certain] for test in every], dtype=bool)
        self._possible = np.array([[test.possible] for test in every], dtype=bool)
        self._ops = _by_operator([test.op for test in every])
        self._needed = _needed(of_rules, every)
        self._decisions = np.array([[Decision[rule.decision]] for rule in rules], dtype=np.int8)

    @classmethod
    def load(cls, path: Path = RULES_FILE) -> Rules:
        """Return the rules in a YAML file. Raises Misconfigured."""
        try:
            return cls(msgspec.convert(yaml_file.read(path), list[Rule]))
        except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
            raise Misconfigured(f"{path.name}: {error}") from error

    @property
    def features(self) -> list[str]:
        """The names of the features that the rules read, and of the side."""
        return [FEATURE_NAMES[column] for column in sorted({_SIDE, *self._columns.tolist()})]

    @property
    def reject_codes(self) -> frozenset[str]:
        """The codes of the rules that reject where they are certain."""
        return frozenset(rule.code for rule in self.rules if rule.decision == "REJECT")

    def apply(self, features: NDArray[np.float32]) -> FiredRules:
        """Return the rules that fire on the vectors [n, F]."""
        severity = np.zeros(len(features), dtype=np.int8)
        codes: list[tuple[str, ...]] = [()] * len(features)
        for start in range(0, len(features) if self.rules else 0, _CHUNK):
            by_rule = self._severities(features[start : start + _CHUNK])
            severest = severity[start : start + _CHUNK] = by_rule.max(axis=0)
            stopped = np.flatnonzero(severest)
            for rule, row in zip(*(each.tolist() for each in np.nonzero(by_rule[:, stopped])), strict=True):
                at = start + stopped[row]
                if (code := self.rules[rule].code) not in codes[at]:
                    codes[at] += (code,)
        return FiredRules(severity, codes)

    def _severities(self, features: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return the decision of each rule, int8 [rules, n]; 0 where it does not fire."""
        values = features.T[self._columns]
        missing = np.isnan(values)
        met = np.empty(values.shape, dtype=bool)
        for compare, rows in self._ops:
            compare(values[rows], self._values[rows], out=met[rows])
        met &= ~missing
        fired = np.logical_and.reduce((met | (missing & self._certain))[self._needed], axis=0)
        may_fire = np.logical_and.reduce((met | (missing & self._possible))[self._needed], axis=0)
        held = np.minimum(self._decisions, np.int8(Decision.HOLD))
        return np.where(fired, self._decisions, np.where(may_fire, held, np.int8(0)))


def by_payee(features: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return whether the payee's institution asks, [n], for vectors [n, F]; a missing side is the payer's."""
    asked: NDArray[np.bool_] = features[:, _SIDE] == 1
    return asked


def _by_operator(ops: list[str]) -> list[tuple[np.ufunc, slice]]:
    """Return the comparison of each operator, and the places of the tests that it makes, of sorted operators."""
    return [(_COMPARE[op], slice(ops.index(op), ops.index(op) + ops.count(op))) for op in dict.fromkeys(ops)]


def _needed(of_rules: list[list[_Test]], every: list[_Test]) -> NDArray[np.intp]:
    """Return the places among `every` of the tests that each rule needs, [tests, rules]; the last one is repeated."""
    longest = max(map(len, of_rules), default=0)
    places = [[every.index(test) for test in tests] for tests in of_rules]
    return np.array([own + own[-1:] * (longest - len(own)) for own in places], dtype=np.intp).T


def _tests(rule: Rule) -> list[_Test]:
    """Return the comparisons of a rule. Raises Misconfigured."""
    meant: Sequence[tuple[str, str, float]] = [*_SIDES[rule.side], *(_SCOPES[name] for name in rule.scope)]
    fire = rule.when_missing == "fire"
    for condition in rule.when:
        if condition.feature not in FEATURE_NAMES:
            raise Misconfigured(f"rule {rule.code} names the unknown feature {condition.feature}")
    return [
        *(_Test(FEATURE_NAMES.index(name), op, value, op == "!=", op == "!=") for name, op, value in meant),
        *(_Test(FEATURE_NAMES.index(c.feature), c.op, c.value, certain=False, possible=fire) for c in rule.when),
    ]
