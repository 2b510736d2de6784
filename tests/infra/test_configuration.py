"""The Terraform configuration is formatted, its names are defined and used, and its variables have descriptions."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.deploy.stage import ROOT
from tests.infra.configuration import FOLDER, PARTS, Configuration, arguments, plain, references
from tests.infra.matching import match

FILES = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".tf", ".tfbackend", ".example"))


@pytest.fixture(scope="module", params=PARTS)
def configuration(request: pytest.FixtureRequest) -> Configuration:
    return Configuration.read(request.param)


def test_terraform_fmt_changes_nothing() -> None:
    terraform = shutil.which("terraform")
    if not terraform:
        pytest.skip("terraform is not installed, so only the layout is checked")
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        [terraform, "fmt", "-check", "-recursive", "-diff", str(FOLDER)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_has_a_plain_layout(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    assert "\t" not in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    for opening in re.findall(r"^(?! *#)( *)[^\n]*\{\n\n", text, re.M):
        pytest.fail(f"an empty line after an opening brace, {len(opening)} deep")


def test_variables_and_outputs_have_descriptions(configuration: Configuration) -> None:
    for block in configuration.of("variable", "output"):
        assert plain(block.body["description"]).rstrip().endswith("."), block.address
    for block in configuration.of("variable"):
        assert "type" in block.body, block.address


@pytest.mark.parametrize("kind", ["variable", "output"])
def test_variables_and_outputs_are_in_alphabetical_order(configuration: Configuration, kind: str) -> None:
    names = [(block.file, block.labels[0]) for block in configuration.of(kind)]
    assert names == sorted(names)


def test_required_variables_are_in_the_example_or_the_pipeline() -> None:
    given = set(re.findall(r"^(\w+) +=", (FOLDER / "terraform.tfvars.example").read_text("utf-8"), re.M))
    prepared = set(re.findall(r'"(\w+)": ["{]', (ROOT / "infra/deploy/prepare.sh").read_text("utf-8")))
    known = {block.labels[0]: "default" in block.body for block in Configuration.read().of("variable")}
    assert {name for name, default in known.items() if not default} <= given | prepared <= set(known)
    assert not given & prepared, "only the pipeline may set an image"


def test_environments_have_separate_states() -> None:
    environments = re.findall(r'"(\w+)"', str(Configuration.read().variable("environment")["validation"]))
    buckets = {}
    for name in environments:
        backend = FOLDER / "environments" / f"{name}.gcs.tfbackend"
        if backend.exists():
            buckets[name] = match(r'^bucket = "(.*)"$', backend.read_text("utf-8"), re.M)[1]
    assert set(buckets) == {"staging", "production"}
    assert len(set(buckets.values())) == len(buckets)


def test_every_referenced_name_is_defined(configuration: Configuration) -> None:
    defined = {block.address for block in configuration.blocks if block.labels}
    local = set(configuration.locals())
    for block in configuration.blocks:
        if block.kind in ("moved", "removed"):  # it names what was before
            continue
        for path in references(block.body):
            if path[0] == "var":
                assert ".".join(path[:2]) in defined, (block.file, path)
            elif path[0] == "local":
                assert path[1] in local, (block.file, path)
            elif path[0] in ("data", "ephemeral"):
                assert ".".join(path[:3]) in defined, (block.file, path)
            elif re.match(r"(google|random)_", path[0]):
                assert ".".join(path[:2]) in defined, (block.file, path)


def test_every_variable_local_and_data_source_is_used(configuration: Configuration) -> None:
    used = {
        ".".join(path[:3] if path[0] in ("data", "ephemeral") else path[:2])
        for block in configuration.blocks
        for path in references(
            {name: value for name, value in arguments(block.body).items() if block.kind != "variable"}
        )
    }
    named = {block.address for block in configuration.of("variable", "data", "ephemeral")}
    assert not (named | {f"local.{name}" for name in configuration.locals()}) - used
