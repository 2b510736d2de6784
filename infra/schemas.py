"""JSON Schemas (2020-12) of message types, as a reader who ignores unknown fields and values has them."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import cleandoc
from typing import Any

import msgspec

from shared.contract.fields import CODE, OpenEnum


def schemas(kinds: Sequence[Any], references: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the schema of each type, and those that they refer to by name, at `references` such as `#/$defs/{name}`.

    They allow unknown fields, because the decoder ignores them, and unknown values of an open enumeration.
    """
    roots, components = msgspec.json.schema_components(kinds, ref_template=references)
    for each in OpenEnum.__subclasses__():
        if each.__name__ in components:
            components[each.__name__] = _open_enum(components[each.__name__], each)
    return [_open(root) for root in roots], _open(components)


def _open_enum(schema: dict[str, Any], kind: type[OpenEnum]) -> dict[str, Any]:
    plain = {name: value for name, value in schema.items() if name != "enum"}
    form = {"type": "string", "pattern": CODE, "examples": list(kind.known())}
    return plain | {"description": cleandoc(kind.__doc__ or "")} | form


def _open(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _open(value) for name, value in schema.items() if name != "additionalProperties"}
    return [_open(value) for value in schema] if isinstance(schema, list) else schema
