"""The colours of verdicts in pictures of a trace."""

from __future__ import annotations

from collections.abc import Mapping

VERDICTS: Mapping[str, str] = {"FRAUD": "#c62828", "PENDING": "#b26a00", "LEGITIMATE": "#2e7d32"}
NONE = "#607d8b"


def colour(verdict: str | None) -> str:
    """Return the colour of a verdict, as #rrggbb; each has a contrast of at least 4.2 to white."""
    return VERDICTS.get(verdict or "", NONE)
