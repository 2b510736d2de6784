"""Rules of norms and policy, as data in `rules.yaml`; they apply whatever the model's score."""

from __future__ import annotations

import operator
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
import yaml
from msgspec import Meta, Struct
from numpy.typing import NDArray

from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES


class Decision(IntEnum):
    """Decision about a Pix, by rising severity; HOLD is the retention before settlement (bloqueio cautelar)."""

    APPROVE = 0
    HOLD = 1
    REJECT = 2


RULES_FILE = Path(__file__).with_name("rules.yaml")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}


class Condition(Struct, frozen=True, forbid_unknown_fields=True):
    """A comparison of one feature with a number; a missing feature never meets it."""

    feature: str
    op: Literal[">", ">=", "<", "<=", "=="]
    value: float


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """A reason code, its decision, the norm behind it, and conditions, all of which have to be met."""

    code: Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]*$")]
    decision: Literal["HOLD", "REJECT"]
    norm: str
    when: Annotated[list[Condition], Meta(min_length=1)]


class FiredRules(NamedTuple):
    """Rules that fired on n transactions: the severest decision int8 [n], and the codes of each transaction."""

    severity: NDArray[np.int8]
    codes: list[list[str]]


class Rules:
    """A list of rules, applied to a batch of feature vectors at once."""

    def __init__(self, rules: list[Rule]) -> None:
        """Raise Misconfigured if a rule names a feature that does not exist."""
        self.rules = rules
        for rule in rules:
            for condition in rule.when:
                if condition.feature not in FEATURE_NAMES:
                    raise Misconfigured(f"rule {rule.code} names the unknown feature {condition.feature}")
        self._conditions = [
            [(FEATURE_NAMES.index(c.feature), _COMPARE[c.op], np.float32(c.value)) for c in rule.when]
            for rule in rules
        ]

    @classmethod
    def load(cls, path: Path = RULES_FILE) -> Rules:
        """Return the rules in a YAML file. Raises Misconfigured."""
        try:
            return cls(msgspec.convert(yaml.safe_load(path.read_text("utf-8")), list[Rule]))
        except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
            raise Misconfigured(f"{path.name}: {error}") from error

    def apply(self, features: NDArray[np.float32]) -> FiredRules:
        """Return the rules that fire on the vectors [n, F]."""
        decisions = np.zeros(len(features), dtype=np.int8)
        codes: list[list[str]] = [[] for _ in range(len(features))]
        for rule, conditions in zip(self.rules, self._conditions, strict=True):
            fired = np.ones(len(features), dtype=bool)
            for column, compare, value in conditions:
                fired &= compare(features[:, column], value)
            for i in np.flatnonzero(fired):
                codes[i].append(rule.code)
            decisions[fired] = np.maximum(decisions[fired], Decision[rule.decision])
        return FiredRules(decisions, codes)
