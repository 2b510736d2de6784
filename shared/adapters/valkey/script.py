"""The Lua script of `shared.adapters.valkey.history`: tables written from the layout, then its three texts."""

from __future__ import annotations

import hashlib
import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.adapters.valkey.visits import AGAIN_KEY, ENTRY
from shared.adapters.valkey.wire import CLAIM, HEAD, LETTERS
from shared.features.facts import ASKED_OF
from shared.features.layout import (
    CONTACT,
    DAY,
    LAYOUTS,
    MARKS,
    NEW,
    RATES,
    READ_WIDTH,
    ROLES,
    SEEN_BY,
    SEEN_READS,
    STARTS,
    WEIGHTS,
    Layout,
    Role,
)
from shared.features.life import FLAGS_AT, LIFE, PLACE_AT, RECOUNTED, RETURNS_LETTER
from shared.features.places import EPOCH_ORIGIN, LAST_NUMBER
from shared.ports.history import CONFLICT, LIFE_KEY, LOST, UNPLACED

_TEXTS = ("records.lua", "values.lua", "history.lua")
_FORMATS = {"u4": "I4", "f4": "f", "f8": "d"}
"""Stored types in the format of struct.pack."""


class Script(NamedTuple):
    """A text in Lua, and its SHA-1, by which a server caches it."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Script:
        """Return the script of a text."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@cache
def script() -> Script:
    """Return the script of history in the current layout."""
    tables = "".join(f"local {name} = {_lua(value)}\n" for name, value in _tables().items())
    return Script.of(tables + "".join(Path(__file__).with_name(name).read_text("utf-8") for name in _TEXTS))


def _tables() -> dict[str, Any]:
    assert CLAIM.fields
    return {
        "LAYOUTS": {layout.kind: _layout(layout) for layout in LAYOUTS},
        "ROLES": [_role(role, place in ASKED_OF) for place, role in enumerate(ROLES)],
        "SPANS": {"rates": RATES.tolist(), "starts": STARTS.tolist(), "period": DAY},
        "LIFE": {
            "letter": LIFE_KEY,
            "bytes": LIFE.itemsize,
            "head": HEAD,
            "reads": READ_WIDTH,
            "place_at": PLACE_AT,
            "flags_at": FLAGS_AT,
            "returns": RETURNS_LETTER.decode(),
        },
        "AGAIN": AGAIN_KEY,
        "RECOUNTED": RECOUNTED,
        "NEW": NEW,
        "CONFLICT": CONFLICT,
        "LOST": LOST,
        "UNPLACED": UNPLACED,
        "ENTRY": ENTRY.itemsize,
        "EPOCH": {"origin": EPOCH_ORIGIN, "numbers": LAST_NUMBER},
        "CLAIM": {"bytes": CLAIM.itemsize, "length_at": CLAIM.fields["length"][1] + 1},
    }


def _layout(layout: Layout) -> dict[str, Any]:
    counters = layout.width - layout.mark_count
    lasting = {"lasts": layout.lasts, "seen_by": SEEN_BY + 1, "reads_if_seen": SEEN_READS.astype("<f4").tobytes()}
    return {
        "letter": LETTERS[layout.kind],
        "width": layout.width,
        "marks": layout.mark_count,
        "format": "<" + "".join(_FORMATS[kind] for kind in layout.types),
        "bytes": layout.packed.itemsize,
        "signs": layout.signs.tolist(),
        "reads": "<" + "f" * layout.width,
        "reads_marks": "<" + "f" * layout.mark_count,
        "reads_counters": "<" + "f" * counters,
        "from_now": layout.from_now.tolist(),
        "of_mark": layout.of_mark.tolist(),
        "spans": [0] * layout.mark_count + (layout.span + 1).tolist(),
        **(lasting if layout is CONTACT else {}),
    }


def _role(role: Role, asked: bool) -> dict[str, Any]:
    """Return for each column of weights and marks the places of the record to which it is added."""
    layout = role.layout
    counted = layout.weight_columns(role.counts_as)
    raised = layout.mark_columns(role.counts_as)
    first = layout.mark_count + 1
    return {
        "kind": layout.kind,
        "asked": asked,
        "counts": [
            [] if name == "nothing" else (first + np.flatnonzero(counted == column)).tolist()
            for column, name in enumerate(WEIGHTS)
        ],
        "raises": [
            [] if name == "never" else (1 + np.flatnonzero(raised == column)).tolist()
            for column, name in enumerate(MARKS)
        ],
    }


def _lua(value: Any) -> str:
    """Return a Lua literal.

    >>> _lua({"a": [1, 0.5], "b": b"x", "c": True})
    "{['a']={1,0.5},['b']='\\\\120',['c']=true}"
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"['{key}']={_lua(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(map(_lua, value)) + "}"
    if isinstance(value, bytes):
        return "'" + "".join(f"\\{byte:03d}" for byte in value) + "'"
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, bool):
        return str(value).lower()
    assert math.isfinite(value)
    return repr(value)
