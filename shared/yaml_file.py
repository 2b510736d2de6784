"""Data files of the package in YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""That of libyaml, which PyYAML lacks where it was built without. The one in Python takes 17 ms for the rules, and a
cold start would wait for it."""


def read(path: Path) -> Any:
    """Return the data in a file. Raises OSError, yaml.YAMLError."""
    return yaml.load(path.read_text("utf-8"), _LOADER)  # noqa: S506 - both loaders are safe
