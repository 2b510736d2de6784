"""Render the documents of the Team Data Science Process as Markdown."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import jinja2

from shared.contract.topics import DECISIONS, TOPICS
from shared.features.catalogue import FEATURES, markdown
from shared.learning.lifecycle.tdsp.facts import ProjectFacts, settings_of

DOCUMENTS = ("charter", "data-dictionary", "data-quality", "model", "exit")
"""In the order of the process."""


def rendered(facts: ProjectFacts) -> dict[str, str]:
    """Return each document by its file name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (Markdown, of our own facts)
    )
    environment.filters |= {"cell": _cell, "day": _day, "share": _share, "number": _number}
    given: dict[str, Any] = {
        "facts": facts,
        "topics": (*TOPICS, DECISIONS),
        "features": len(FEATURES),
        "catalogue": markdown(),
        "settings_of": settings_of,
    }
    return {
        f"{place}-{name}.md": environment.get_template(f"{name}.md.j2").render(given)
        for place, name in enumerate(DOCUMENTS, start=1)
    }


def _cell(text: object) -> str:
    """Return text that fits into a cell of a table.

    >>> _cell("a | b")
    'a / b'
    """
    return " ".join(str(text).replace("|", "/").split())


def _day(at: dt.datetime | int | None) -> str:
    if isinstance(at, int):
        at = dt.datetime.fromtimestamp(at / 1e6, dt.UTC)
    return f"{at:%Y-%m-%d}" if at else "-"


def _share(value: float) -> str:
    return f"{value:.2%}"


def _number(value: float) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
