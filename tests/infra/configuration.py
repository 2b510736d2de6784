"""Parsed Terraform configuration: labelled blocks and the references in expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import hcl2

FOLDER = Path(__file__).parents[2] / "infra" / "terraform"
_LABELS = {
    "resource": 2,
    "data": 2,
    "ephemeral": 2,
    "variable": 1,
    "output": 1,
    "provider": 1,
    "terraform": 0,
    "locals": 0,
    "moved": 0,
    "removed": 0,
}
_TEXT = re.compile(r'"(?:[^"\\$]|\\.|\$(?!\{))*"')
_PATH = re.compile(r"(?<![\w.\"-])[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[[^\[\]]*\])+")


class Block(NamedTuple):
    """A top-level block of a file: `resource "type" "name" { ... }`."""

    file: str
    kind: str
    labels: tuple[str, ...]
    body: dict[str, Any]

    @property
    def address(self) -> str:
        """Return the block's address in expressions."""
        prefix = {"variable": "var.", "data": "data.", "ephemeral": "ephemeral."}.get(self.kind, "")
        return prefix + ".".join(self.labels)


class Configuration(NamedTuple):
    """All blocks of the files in a folder."""

    blocks: tuple[Block, ...]

    @classmethod
    @cache
    def read(cls, part: str = ".") -> Self:
        """Return the parsed configuration of infra/terraform, or of a folder in it."""
        return cls(tuple(block for file in sorted((FOLDER / part).glob("*.tf")) for block in _blocks(file)))

    def of(self, *kinds: str) -> list[Block]:
        """Return the blocks of these kinds."""
        return [block for block in self.blocks if block.kind in kinds]

    def resources(self, type_: str) -> list[Block]:
        """Return the resources of a type."""
        return [block for block in self.of("resource") if block.labels[0] == type_]

    def resource(self, type_: str, name: str) -> dict[str, Any]:
        """Return the body of a resource."""
        return next(block.body for block in self.resources(type_) if block.labels[1] == name)

    def local(self, name: str) -> Any:
        """Return the definition of a local value."""
        return next(block.body[name] for block in self.of("locals") if name in block.body)

    def locals(self) -> dict[str, Any]:
        """Return every local value."""
        return {name: value for block in self.of("locals") for name, value in arguments(block.body).items()}

    def variable(self, name: str) -> dict[str, Any]:
        """Return the body of a variable."""
        return next(block.body for block in self.of("variable") if block.labels == (name,))

    def sources(self) -> set[tuple[str, str]]:
        """Return (source, version) of every provider."""
        (terraform,) = self.of("terraform")
        pinned = arguments(terraform.body["required_providers"][0])
        return {(plain(each["source"]), plain(each["version"])) for each in pinned.values()}

    def kinds(self) -> set[tuple[str, str]]:
        """Return (mode, type) of every resource and data source; ephemeral ones count as resources."""
        return {
            ("data" if block.kind == "data" else "resource", block.labels[0])
            for block in self.of("resource", "data", "ephemeral")
        }


def arguments(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body without the parser's own entries."""
    return {plain(name): value for name, value in body.items() if not name.startswith("__")}


def nested(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, body) of each block in a body; for a dynamic block, its content."""
    for name, value in arguments(body).items():
        if not is_blocks(value):
            continue
        for each in value:
            if name == "dynamic":
                for label, dynamic in arguments(each).items():
                    yield label, dynamic["content"][0]
            else:
                yield name, each


def is_blocks(value: object) -> bool:
    """Return whether a value in a body is a list of blocks rather than an argument."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and _holds_block(value[0])


def plain(value: Any) -> Any:
    """Return a literal string without its quotes, and any other value unchanged.

    >>> plain('"a"'), plain("${var.a}")
    ('a', '${var.a}')
    """
    quoted = isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1].replace('\\"', '"') if quoted else value


def texts(value: Any) -> Iterator[str]:
    """Yield every string in a value, including keys, as written in the file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            if name != "__comments__":
                yield name
                yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def references(value: Any) -> set[tuple[str, ...]]:
    """Return the paths that the expressions in a value reference, without indexes.

    >>> sorted(references({"a": '"x-${var.b}"', "c": "${google_x.y[each.key].z}"}))
    [('each', 'key'), ('google_x', 'y', 'z'), ('var', 'b')]
    """
    found: set[tuple[str, ...]] = set()
    for text in texts(value):
        for expression in _expressions(text):
            for inner in re.findall(r"\[([^\[\]]*)\]", expression):
                found |= _paths(inner)
            found |= _paths(expression)
    return found


def _paths(expression: str) -> set[tuple[str, ...]]:
    bare = _TEXT.sub('""', expression)
    return {tuple(re.sub(r"\[[^\[\]]*\]", "", path).split(".")) for path in _PATH.findall(bare)}


def _expressions(text: str) -> Iterator[str]:
    """Yield the content of each ${}, with inner braces balanced."""
    start = 0
    while (start := text.find("${", start)) >= 0:
        if start and text[start - 1] == "$":  # escaped
            start += 2
            continue
        depth, end = 1, start + 2
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        inner = text[start + 2 : end - 1]
        yield inner
        yield from _expressions(inner)
        start = end


def _holds_block(value: dict[str, Any]) -> bool:
    if "__is_block__" in value:
        return True
    return any(isinstance(each, dict) and _holds_block(each) for each in value.values())


def _blocks(file: Path) -> Iterator[Block]:
    with file.open(encoding="utf-8") as text:
        parsed = hcl2.load(text)
    for kind, blocks in arguments(parsed).items():
        for body in blocks:
            labels: tuple[str, ...] = ()
            for _ in range(_LABELS[kind]):
                ((label, body),) = arguments(body).items()
                labels += (label,)
            yield Block(file.name, kind, labels, body)


PARTS = (".", "bootstrap")
"""Folders of infra/terraform with a state: the pipeline applies the first, an owner the second."""
