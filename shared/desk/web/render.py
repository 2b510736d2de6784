"""The pages, from their templates."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment
from starlette.responses import HTMLResponse

from shared.desk import charts
from shared.desk.reasons import group_code
from shared.desk.templating import environment
from shared.desk.web.formats import Formats
from shared.desk.web.texts import LANGUAGES, texts
from shared.scoring.reason_words import reason_words


@cache
def _environment(language: str) -> Environment:
    found = environment("shared.desk.web")
    words = texts(language)
    found.globals |= {
        "t": words,
        "lang": language,
        "languages": LANGUAGES,
        "f": Formats(language, words),
        "chart": {"width": charts.WIDTH, "height": charts.HEIGHT, "left": charts.LEFT, "bottom": charts.BOTTOM},
        "word": lambda kind, code: words.get(f"{kind}.{code}", code),
        "reason_text": lambda code: _reason_text(code, language),
    }
    return found


def page(name: str, language: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page by the name of its template."""
    html = _environment(language).get_template(f"{name}.html.j2").render(**values)
    return HTMLResponse(html, status)


def _reason_text(code: str, language: str) -> str:
    """Return a reason in words; a code without any as it is."""
    words = reason_words().by_code.get(group_code(code))
    return code if words is None else str(getattr(words, language))
