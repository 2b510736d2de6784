"""Attributes and blocks exist in the pinned version of the provider, and required ones are set."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.infra.configuration import PARTS, Block, Configuration, arguments, is_blocks, nested, references
from tests.infra.provider_schema import Argument, Schema, stored

META = {"connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioner"}
PROVIDED = [block for part in PARTS for block in Configuration.read(part).of("resource", "data", "ephemeral")]


@pytest.fixture(scope="module")
def schema() -> Schema:
    return stored()


def test_pinned_versions_match_the_schema(schema: Schema) -> None:
    pinned = [Configuration.read(part).sources() for part in PARTS]
    assert pinned[0] == set(schema.versions.items())
    assert all(sources <= pinned[0] for sources in pinned)


@pytest.mark.parametrize("block", PROVIDED, ids=lambda block: block.address)
def test_block_matches_the_schema_of_its_provider(block: Block, schema: Schema) -> None:
    kind = schema.kinds[f"{'data' if block.kind == 'data' else 'resource'}.{block.labels[0]}"]
    own = {name: value for name, value in arguments(block.body).items() if name not in META}
    if block.kind == "ephemeral":
        assert set(own) <= set(kind.arguments)
        return
    faults = list(_faults(block.address, own, kind.arguments))
    assert not faults, faults


def _faults(place: str, body: dict[str, Any], known: Mapping[str, Argument]) -> Iterator[str]:
    blocks = list(nested(body))
    names = {name for name, _ in blocks}
    plainly = {name: value for name, value in arguments(body).items() if not is_blocks(value)}
    for name, value in plainly.items():
        if name not in known or known[name].block is not None:
            yield f"{place}: unknown argument {name}"
        elif not _fits(value, known[name].type):
            yield f"{place}: {name} is not a {known[name].type}"
    for name, inner in blocks:
        block = known[name].block if name in known else None
        if block is None:
            yield f"{place}: unknown block {name}"
        else:
            yield from _faults(f"{place}.{name}", inner, block)
    for name, times in Counter(name for name, _ in blocks).items():
        if times > 1 and name in known and not known[name].many:
            yield f"{place}: more than one block {name}"
    yield from (
        f"{place}: {name} is missing"
        for name, each in known.items()
        if each.required and name not in names | set(plainly)
    )


def _fits(value: object, type_: str) -> bool:
    """Return whether a literal has the type; an expression passes for any type."""
    if value is None or (isinstance(value, str) and "${" in value):
        return True
    if isinstance(value, dict):
        return type_.startswith("map")
    if isinstance(value, list):
        return type_.startswith("list")
    if isinstance(value, bool):
        return type_ == "boolean"
    if isinstance(value, int | float):
        return type_ == "number"
    return type_ == "string"


@pytest.mark.parametrize("part", PARTS)
def test_every_referenced_attribute_exists(part: str, schema: Schema) -> None:
    for block in Configuration.read(part).blocks:
        for path in references(block.body):
            mode = "data" if path[0] == "data" else "resource"
            type_, attribute = (path[1:2], path[3:4]) if mode == "data" else (path[:1], path[2:3])
            kind = schema.kinds.get(f"{mode}.{''.join(type_)}")
            if kind and attribute:
                assert attribute[0] in {*kind.arguments, *kind.attributes}, (block.file, path)
