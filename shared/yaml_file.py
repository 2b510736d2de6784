"""Data files of the package in YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_PARSER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""That of libyaml, which PyYAML lacks where it was built without. The one in Python takes 17 ms for the rules, and a
cold start would wait for it."""


class _Loader(_PARSER):  # type: ignore[misc, valid-type]
    """Refuses a mapping with a key twice, of which YAML would keep the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read(path: Path) -> Any:
    """Return the data in a file. Raises OSError, yaml.YAMLError; also if a mapping has a key twice."""
    return yaml.load(path.read_text("utf-8"), _Loader)  # noqa: S506 - both parsers are safe
