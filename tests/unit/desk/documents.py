"""A document's HTML as its tests read it."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

_ACTIVE = {"script", "link", "img", "iframe", "object", "embed", "form", "base", "svg", "audio", "video", "a"}


class _Parts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def words(html: str) -> str:
    """Return the words of HTML."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).replace("\u00a0", " ").split())


def section(html: str, name: str) -> str:
    """Return the words of a section."""
    return words(re.search(f'<section id="{name}">(.*?)</section>', html, re.DOTALL).group(1))


def outside_resources(html: str) -> list[str]:
    """Return the tags, attributes and rules by which a document would run or load anything."""
    parts = _Parts()
    parts.feed(html)
    attributes = {each for each in parts.attributes if each.startswith("on") or each in ("src", "href", "style")}
    return sorted((parts.tags & _ACTIVE) | attributes) + re.findall(r"url\(|@import|https?:|javascript:", html)
