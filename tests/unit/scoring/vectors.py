"""Feature vectors by name, and rules by a few facts."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.features.catalogue import FEATURE_NAMES
from shared.scoring.rules import Rule, Rules

PLAIN = {
    "side": 0,
    "night": 0,
    "person_to_person": 1,
    "device_unregistered": 0,
    "form_auto": 0,
    "customer_night_limit": 0,
    "customer_day_limit": 0,
    "dict_markers_d90": 0,
    "dict_marker_share": 0,
    "owner_markers": 0,
    "payee_frauds_30d": 0,
    "payee_since_first": 400,
    "payee_new_payers_30d": 5,
    "payee_count_30d": 50,
}
"""By day, from person to person, from a registered device, to an account without any suspicion."""


def vectors(*rows: dict[str, float]) -> NDArray[np.float32]:
    """Return vectors [n, F] with the features named; every other one is missing."""
    found = np.full((len(rows), len(FEATURE_NAMES)), np.nan, dtype=np.float32)
    for i, row in enumerate(rows):
        for name, value in row.items():
            found[i, FEATURE_NAMES.index(name)] = value
    return found


def rule(*when: tuple[str, str, float], **facts: Any) -> Rule:
    """Return a rule of the payer's side that rejects, with the conditions `when`."""
    values: dict[str, Any] = {
        "code": "IT",
        "side": "PAYER",
        "decision": "REJECT",
        "shown": "REFUSED_BY_LIMIT",
        "norm": "a norm",
        "when_missing": "skip",
        "when": [dict(zip(("feature", "op", "value"), each, strict=True)) for each in when],
    }
    return msgspec.convert(values | facts, Rule)


def severity(one: Rule, **row: float) -> int:
    """Return the decision of a rule on the vector with these features alone."""
    (found,) = Rules([one]).apply(vectors(row)).severity.tolist()
    return int(found)


def fired(**row: float) -> tuple[int, list[str]]:
    """Return the severity and codes of the rules in force on a plain Pix with these features besides."""
    severities, (codes,) = Rules.load().apply(vectors(PLAIN | row))
    return int(severities[0]), list(codes)
