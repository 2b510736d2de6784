"""A search that must succeed."""

from __future__ import annotations

import re


def match(pattern: str, text: str, flags: int = 0) -> re.Match[str]:
    """Return the first match in the text; fail the test without one."""
    found = re.search(pattern, text, flags)
    assert found, f"{pattern} is not in {text[:200]!r}"
    return found
