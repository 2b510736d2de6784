"""The Lua script of `shared.adapters.valkey.history`: tables written from the layout, then history.lua."""

from __future__ import annotations

import hashlib
import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.adapters.valkey.wire import CLAIM_LETTER
from shared.features.layout import (
    ACCOUNT,
    CONTACT,
    DEVICE,
    HOP,
    MARKS,
    OFFSETS,
    PASSED,
    PASSED_FROM,
    RATES,
    READ_WIDTH,
    TAINT,
    WEIGHTS,
    Layout,
)

LETTERS = {layout.kind: layout.kind[0] for layout in (ACCOUNT, CONTACT, DEVICE)}
"""Prefix of the key of a record of each kind."""
FACTS_WIDTH = 1 + len(WEIGHTS) + len(MARKS)
"""Number of doubles that describe an event: its time, weights and marks."""
_ROLES = {"account": ("payer", "payee"), "contact": ("contact",), "device": ("device",)}
_FIRST_WEIGHT, _FIRST_MARK = 2, 2 + len(WEIGHTS)


class Script(NamedTuple):
    """The text, and its SHA-1, by which a server caches it."""

    text: str
    sha: str


@cache
def script() -> Script:
    """Return the script of the current layout."""
    tables = "".join(f"local {name} = {_lua(value)}\n" for name, value in _tables().items())
    text = tables + Path(__file__).with_name("history.lua").read_text("utf-8")
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _tables() -> dict[str, Any]:
    return {
        "LAYOUTS": {layout.kind: _layout(layout) for layout in (ACCOUNT, CONTACT, DEVICE)},
        "RATES": RATES.tolist(),
        "FACTS": _facts(),
        "READS": {**OFFSETS, "width": READ_WIDTH, "format": "<" + "f" * READ_WIDTH},
        "HOP": HOP,
        "PASSED": _counters(PASSED) | {"from": ACCOUNT.mark_count + PASSED_FROM.start},
        "TAINT": _counters(TAINT),
        "CLAIM": CLAIM_LETTER,
    }


def _layout(layout: Layout) -> dict[str, Any]:
    blank = np.concatenate((np.full(layout.mark_count, -np.inf), np.zeros(layout.width - layout.mark_count)))
    return {
        "letter": LETTERS[layout.kind],
        "width": layout.width,
        "marks": layout.mark_count,
        "format": "<" + "d" * layout.width,
        "blank": blank.astype("<f8").tobytes(),
        "from_now": layout.from_now.tolist(),
        "of_mark": layout.of_mark.tolist(),
        "spans": [0] * layout.mark_count + (layout.half_life + 1).tolist(),
        "roles": {role: _role(layout, role) for role in _ROLES[layout.kind]},
    }


def _role(layout: Layout, role: str) -> dict[str, list[int]]:
    """Return flat lists: (place, fact) of marks that are raised, (place, fact, span) of counters that count."""
    never, nothing = MARKS.index("never"), WEIGHTS.index("nothing")
    raises = [
        (place, _FIRST_MARK + column)
        for place, column in enumerate(layout.mark_columns(role).tolist(), 1)
        if column != never
    ]
    counts = [
        (layout.mark_count + place, _FIRST_WEIGHT + column, layout.half_life[place - 1] + 1)
        for place, column in enumerate(layout.weight_columns(role).tolist(), 1)
        if column != nothing
    ]
    return {
        "raises": [number for each in raises for number in each],
        "counts": [int(number) for each in counts for number in each],
    }


def _facts() -> dict[str, Any]:
    weights = {name: _FIRST_WEIGHT + WEIGHTS.index(name) for name in ("one", "amount", "new_payee", "new_device")}
    verdict = {name: _FIRST_WEIGHT + WEIGHTS.index(name) for name in ("fraud", "cleared")}
    marks = {name: _FIRST_MARK + MARKS.index(name) for name in ("reached", "at", "at_if_new")}
    size = {"width": FACTS_WIDTH, "first_mark": _FIRST_MARK, "format": "<" + "d" * FACTS_WIDTH}
    return {"time": 1, "bytes": 8 * FACTS_WIDTH, **size, **weights, **verdict, **marks}


def _counters(counters: slice) -> dict[str, int]:
    """Return the place before the first of some counters of an account, and how many they are."""
    return {"place": ACCOUNT.mark_count + counters.start, "count": counters.stop - counters.start}


def _lua(value: Any) -> str:
    """Return a Lua literal.

    >>> _lua({"a": [1, 0.5], "b": b"x"})
    "{['a']={1,0.5},['b']='\\\\120'}"
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"['{key}']={_lua(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(map(_lua, value)) + "}"
    if isinstance(value, bytes):
        return "'" + "".join(f"\\{byte:03d}" for byte in value) + "'"
    if isinstance(value, str):
        return f"'{value}'"
    assert math.isfinite(value)
    return repr(value)
