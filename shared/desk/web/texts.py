"""The words of the pages, one catalogue for each language."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from shared import yaml_file

PORTUGUESE, ENGLISH = LANGUAGES = ("pt", "en")
_FOLDER = Path(__file__).with_name("texts")


@cache
def texts(language: str) -> Mapping[str, str]:
    """Return the words of a language by their keys."""
    found: dict[str, str] = yaml_file.read(_FOLDER / f"{language}.yaml")
    return found
