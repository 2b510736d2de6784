"""Evaluate the configuration with Terraform but without its providers.

Every resource becomes a local value: an object of its arguments, with an invented string for each attribute that the
provider would compute. Terraform itself then resolves every reference, calls every function, checks every variable
and refuses a cycle. Google's own checks of the values are not covered.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.infra.configuration import FOLDER, Block, Configuration, arguments, is_blocks, plain
from tests.infra.provider_schema import Kind, stored

_META = {"for_each", "count", "depends_on", "lifecycle"}
_REFERENCE = re.compile(r"(?<![\w.\"/-])(?:(data|ephemeral)\.)?((?:google|random)_\w+)\.(\w+)")

# Computed attributes that are not strings.
_ENDPOINT = (
    '[{{ psc_auto_connection = [{{ connection_type = "CONNECTION_TYPE_{}", ip_address = "{}", port = 6379 }}] }}]'
)
_PEM = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEjlM7b6C/e0YluzBmfAH7YH75+Lio\n"
    "D+9bMAYocDGHsqNz6x294DMYNm0Gn4Om9ZAAU8c2M8sEGyHFXhqGwfQAtA==\n"
    "-----END PUBLIC KEY-----\n"
)
_COMPUTED = {
    "google_kms_crypto_key_version.public_key": f"[{{ pem = {json.dumps(_PEM)} }}]",
    "google_memorystore_instance.endpoints": "[{ connections = concat("
    f"{_ENDPOINT.format('READER', '10.64.4.4')}, {_ENDPOINT.format('PRIMARY', '10.64.4.3')}) }}]",
    "google_memorystore_instance.managed_server_ca": '[{ ca_certs = [{ certificates = ["first", "second"] }] }]',
    "google_secret_manager_secret_version.version": '"7"',
}


class Refused(Exception):
    """Terraform rejected a variable or the configuration."""


def evaluate(terraform: str, folder: Path, variables: Mapping[str, Any], part: str = ".") -> dict[str, Any]:
    """Return the value of every resource by address. Raises Refused.

    `variables` override those of terraform.tfvars.example.
    """
    provided = Configuration.read(part).of("resource", "data", "ephemeral")
    text = "".join(path.read_text("utf-8") for path in sorted((FOLDER / part).glob("*.tf")))
    lines = [_linked(block) for block in re.findall(r"^(?:locals|variable|output)\b.*?^\}\n", text, re.S | re.M)]
    for block in provided:
        name = _local(block)
        lines += [f"locals {{\n{name} = {_object(block)}\n}}\n", f'output "{name}" {{\nvalue = local.{name}\n}}\n']
    text = "\n".join(lines).replace("path.module", json.dumps(str(FOLDER / part)))
    (folder / "main.tf").write_text(text, "utf-8")
    example = FOLDER / part / "terraform.tfvars.example"
    (folder / "terraform.tfvars").write_text(example.read_text("utf-8") if example.exists() else "", "utf-8")
    (folder / "more.auto.tfvars.json").write_text(json.dumps(variables), "utf-8")
    _apply(terraform, folder)
    values = json.loads((folder / "terraform.tfstate").read_text("utf-8"))["outputs"]
    return {block.address: values[_local(block)]["value"] for block in provided}


def _apply(terraform: str, folder: Path) -> None:
    command = [terraform, "apply", "-auto-approve", "-input=false", "-no-color"]
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)


def _local(block: Block) -> str:
    return "__".join((block.kind, *block.labels))


def _linked(expression: str) -> str:
    """Return the expression with references to resources replaced by their local values."""
    return _REFERENCE.sub(lambda found: f"local.{found[1] or 'resource'}__{found[2]}__{found[3]}", expression)


def _object(block: Block) -> str:
    """Return the expression of a resource: one object, or one for each instance."""
    kind = stored().kinds[f"{'data' if block.kind == 'data' else 'resource'}.{block.labels[0]}"]
    own = {name: value for name, value in arguments(block.body).items() if name not in _META}
    after = f"_after = length({_expression(block.body.get('depends_on', []))})"
    text = f"merge({{\n{_computed(block, kind, own)}\n}}, {_body(own)[:-1]}\n{after}\n}})"
    if "count" in block.body:
        return f"[for _ in range({_expression(block.body['count'])}) : {text}]"
    if "for_each" not in block.body:
        return text
    return (
        f"{{ for each_key, each_value in {_expression(block.body['for_each'])} : each_key => "
        f"{text.replace('each.key', 'each_key').replace('each.value', 'each_value')} }}"
    )


def _computed(block: Block, kind: Kind, own: dict[str, Any]) -> str:
    texts = {name for name, each in kind.arguments.items() if each.type == "string"} | {*kind.attributes}
    key = ".${each.key}" if "for_each" in block.body else ""
    return "\n".join(
        f"{name} = " + _COMPUTED.get(f"{block.labels[0]}.{name}", f'"{block.address.replace(".", "/")}{key}/{name}"')
        for name in sorted(texts - {*own} | {"result"})
    )


def _body(body: dict[str, Any]) -> str:
    """Return a body as an object expression; its blocks become lists of objects."""
    members = {name: _expression(value) for name, value in arguments(body).items() if not is_blocks(value)}
    blocks: dict[str, list[str]] = {}
    for name, value in arguments(body).items():
        for each in value if is_blocks(value) else []:
            if name == "dynamic":
                for label, dynamic in arguments(each).items():
                    blocks.setdefault(label, []).append(_dynamic(label, dynamic))
            else:
                blocks.setdefault(name, []).append(f"[{_body(each)}]")
    members |= {name: f"concat({', '.join(lists)})" for name, lists in blocks.items()}
    return "{\n" + "\n".join(f"{name} = {text}" for name, text in members.items()) + "\n}"


def _dynamic(label: str, body: dict[str, Any]) -> str:
    """Return the expression of a dynamic block: a list of objects."""
    content = _body(body["content"][0])
    for part in ("key", "value"):
        content = re.sub(rf"(?<![\w.]){label}\.{part}\b", f"{label}_{part}", content)
    return f"[for {label}_key, {label}_value in {_expression(body['for_each'])} : {content}]"


def _expression(value: Any) -> str:
    if isinstance(value, dict):
        members = [f"{json.dumps(name)} = {_expression(each)}" for name, each in arguments(value).items()]
        return "{\n" + "\n".join(members) + "\n}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_expression, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    if value.startswith("${") and value.endswith("}"):
        return _linked(value[2:-1])
    text = plain(value) if value.startswith('"<<') else value
    return _linked(text) + ("\n" if text.startswith("<<") else "")
