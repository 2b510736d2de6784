"""Extract the schema of the resources that we use from packages that pip can download.

A provider gives its schema only to a Terraform that has installed it from HashiCorp's registry. The bindings of CDK
for Terraform, on PyPI, were generated from that schema. They hold the name, the type and the necessity of each
argument, and the name of each attribute, for the versions that infra/terraform/versions.tf pins.

    pip download --no-deps -d wheels cdktf-cdktf-provider-google==16.12.1 cdktf-cdktf-provider-random==12.0.1
    python -m tests.infra.provider_schema wheels/*.whl

writes tests/infra/provider_schema.json.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tests.infra.configuration import PARTS, Configuration

FILE = Path(__file__).with_suffix(".json")
_BINDINGS = re.compile(r"bindings for (\S+/(\w+)) provider version (\S+)")
_ARGUMENT = re.compile(r"#(\w+) \w+#\1\}")
_IRRELEVANT = ("cdktf.IResolvable",)


class Argument(Struct, frozen=True, omit_defaults=True):
    """An argument, or a block with its own arguments; `many` if the block may repeat."""

    required: bool = False
    type: str = ""
    block: dict[str, Argument] | None = None
    many: bool = False


class Kind(Struct, frozen=True):
    """A type of resource or data source: its arguments and its computed attributes."""

    arguments: dict[str, Argument]
    attributes: list[str]


class Schema(Struct, frozen=True):
    """Provider versions by source, and the known types by `resource.type` or `data.type`."""

    versions: dict[str, str]
    kinds: dict[str, Kind]


def stored() -> Schema:
    """Return the extracted schema from its file."""
    return msgspec.json.decode(FILE.read_bytes(), type=Schema)


class Bindings:
    """The bindings of one provider, read from a wheel."""

    def __init__(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            metadata = archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
            package = archive.read(next(name for name in names if name.endswith(".jsii.tgz")))
        found = _BINDINGS.search(metadata)
        if not found:
            raise SystemExit(f"{wheel.name} does not hold the bindings of a provider")
        self.source, self.provider, self.version = found.groups()
        with tarfile.open(fileobj=io.BytesIO(package)) as archive:
            file = archive.extractfile("package/.jsii")
            assert file
            assembly = json.load(file)
        self._types: dict[str, Any] = assembly["types"]
        self._prefix = f"{assembly['name']}."

    def kind(self, mode: str, name: str) -> Kind:
        """Return the schema of a resource or data source. Raises KeyError for an unknown one."""
        own = name.removeprefix(f"{self.provider}_")
        class_ = _camel(f"data_{name}" if mode == "data" else own)
        path = f"{self._prefix}{class_[0].lower()}{class_[1:]}.{class_}"
        arguments = self._arguments(f"{path}Config")
        read = {_snake(each["name"]) for each in self._types[path]["properties"] if not each.get("const")}
        return Kind(arguments, sorted(name for name in read - {*arguments} if not name.endswith("_input")))

    def _arguments(self, interface: str) -> dict[str, Argument]:
        properties = self._types[interface].get("properties", [])
        return {_name(each): self._argument(each) for each in sorted(properties, key=_name)}

    def _argument(self, description: dict[str, Any]) -> Argument:
        names = [name for name in _types(description["type"]) if name not in _IRRELEVANT]
        required = not description.get("optional", False)
        blocks = [name for name in names if name.removeprefix("list ").startswith(self._prefix)]
        if not blocks:
            return Argument(required, names[0])
        interface = blocks[0].removeprefix("list ")
        return Argument(required, block=self._arguments(interface), many=blocks[0] != interface)


def _types(type_: dict[str, Any]) -> list[str]:
    """Return the name of a type, or the names of a union's members."""
    if "union" in type_:
        return [name for each in type_["union"]["types"] for name in _types(each)]
    if "collection" in type_:
        kind = {"array": "list", "map": "map"}[type_["collection"]["kind"]]
        return [f"{kind} {_types(type_['collection']['elementtype'])[0]}"]
    return [type_.get("fqn") or type_["primitive"]]


def _name(description: dict[str, Any]) -> str:
    """Return Terraform's name of an argument, from the documentation link in the bindings."""
    found = _ARGUMENT.search(description.get("docs", {}).get("remarks", ""))
    return found[1] if found else _snake(description["name"])


def _camel(text: str) -> str:
    """Return a name in the spelling of a class.

    >>> _camel("cloud_run_v2_service")
    'CloudRunV2Service'
    """
    return "".join(part[0].upper() + part[1:] for part in text.split("_") if part)


def _snake(text: str) -> str:
    """Return a name in Terraform's spelling.

    >>> _snake("latestReadyRevision")
    'latest_ready_revision'
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", text).lower()


def extract(wheels: list[Path], used: set[tuple[str, str]]) -> Schema:
    """Return the schema of the used types. Raises KeyError for a type that no provider has."""
    bindings = {each.provider: each for each in map(Bindings, wheels)}
    kinds = {f"{mode}.{name}": bindings[name.partition("_")[0]].kind(mode, name) for mode, name in sorted(used)}
    return Schema({each.source: each.version for each in bindings.values()}, kinds)


def main(arguments: list[str] | None = None) -> int:
    """Write the schema of the resources that infra/terraform uses."""
    parser = argparse.ArgumentParser(prog="python -m tests.infra.provider_schema", description=__doc__)
    parser.add_argument("wheels", nargs="+", type=Path)
    used = set[tuple[str, str]]().union(*(Configuration.read(part).kinds() for part in PARTS))
    schema = extract(parser.parse_args(arguments).wheels, used)
    lines = [f"  {json.dumps(name)}: {msgspec.json.encode(kind).decode()}" for name, kind in schema.kinds.items()]
    versions = msgspec.json.encode(schema.versions).decode()
    FILE.write_text(f'{{"versions": {versions},\n "kinds": {{\n' + ",\n".join(lines) + "\n}}\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
