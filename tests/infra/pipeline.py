"""Run the steps of a Cloud Build file locally, with stubs for the tools that would reach the cloud.

A stub records its arguments in the file $CALLS and runs the shell code of the test. The scripts of infra/deploy are
real. Stubs keep state between calls in files next to $CALLS.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from infra.deploy.stage import ROOT

FILES = (
    "cloudbuild.yaml",
    *(
        f"infra/deploy/cloudbuild.{name}.yaml"
        for name in ("attest", "checks", "plan", "production", "promote", "staging")
    ),
)
ACCOUNTS = {
    "cloudbuild.yaml": "pix-build",
    "infra/deploy/cloudbuild.attest.yaml": "pix-attest",
    "infra/deploy/cloudbuild.checks.yaml": "pix-test",
    "infra/deploy/cloudbuild.plan.yaml": "pix-deploy",
    "infra/deploy/cloudbuild.production.yaml": "pix-deploy",
    "infra/deploy/cloudbuild.promote.yaml": "pix-attest",
    "infra/deploy/cloudbuild.staging.yaml": "pix-deploy",
}
"""The account of each build, by trigger, by hand and from GitHub."""
GIVEN = {"BUILD_ID": "b-1", "PROJECT_ID": "bank", "COMMIT_SHA": "c0ffee"}
"""Substitutions that Cloud Build itself sets."""
DIGEST = f"sha256:{'a' * 64}"
BY_TRIGGER = {
    "_BASE_DIGEST": DIGEST,
    "_BUILDER": f"gcr.io/buildpacks/builder@{DIGEST}",
    "_RUN_IMAGE": f"gcr.io/buildpacks/run@{DIGEST}",
    "_FROM_REGISTRY": "southamerica-east1-docker.pkg.dev/staging/pix",
}
TOOLS = (
    *("gcloud", "curl", "terraform", "docker", "pack", "crane", "make", "sleep"),
    *("python", "python3", "python3.13"),
)
ENTRYPOINTS = {"buildpacksio/pack": "pack"}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\$)|([A-Z_]\w*))")
_STUB = """#!/bin/sh
echo "$(basename "$0")" "$@" >>"$CALLS"
{answers}
"""


class Ran(NamedTuple):
    """Result of a build: id of the step that failed it, or None; recorded calls in order; output of all steps."""

    failed: str | None
    calls: list[str]
    output: str


def read(name: str) -> dict[str, Any]:
    """Return a parsed file of the pipeline."""
    build: dict[str, Any] = yaml.safe_load((ROOT / name).read_text("utf-8"))
    return build


def substitutions(build: Mapping[str, Any]) -> dict[str, str]:
    """Return the value of each substitution in a build that a trigger starts."""
    own = {name: value or BY_TRIGGER[name] for name, value in build.get("substitutions", {}).items()}
    return {**GIVEN, **own}


def scripts(account: str, *without: str) -> str:
    """Return the text of the scripts that the builds of an account run, `without` some files of builds."""
    steps = [
        step for name in FILES if ACCOUNTS[name] == account and name not in without for step in read(name)["steps"]
    ]
    called = {each for step in steps for each in step.get("args", []) if each.endswith(".sh")}
    assert called
    return "".join((ROOT / each).read_text("utf-8") for each in sorted(called))


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its substitutions replaced as in Cloud Build. Raises KeyError for an unknown name.

    >>> filled("$_A-${_A} $$HOME", {"_A": "x"})
    'x-x $HOME'
    """
    return _VARIABLE.sub(lambda found: "$" if found[2] else values[found[1] or found[3]], text)


def run(name: str, folder: Path, answers: Mapping[str, str], only: set[str] | None = None) -> Ran:
    """Run a build in a new workspace in `folder`; `answers` holds the shell code of each tool's stub."""
    calls = folder / "calls"
    build, environment = read(name), _workspace(folder, calls, answers)
    values = substitutions(build)
    for setting in build["options"].get("env", []):
        variable, _, value = filled(setting, values).partition("=")
        environment[variable] = value
    failed, output = None, ""
    for step in build["steps"]:
        if only and step["id"] not in only:
            continue
        tool = step.get("entrypoint") or ENTRYPOINTS[step["name"].partition("@")[0].rpartition(":")[0]]
        command = [tool, *(filled(each, values) for each in step.get("args", []))]
        done = subprocess.run(
            command, cwd=folder / "workspace", env=environment, capture_output=True, text=True, check=False
        )
        output += done.stdout + done.stderr
        if done.returncode and not step.get("allowFailure"):
            failed = step["id"]
            break
    return Ran(failed, calls.read_text("utf-8").splitlines() if calls.exists() else [], output)


def _workspace(folder: Path, calls: Path, answers: Mapping[str, str]) -> dict[str, str]:
    """Make the working copy and the stubs; return the environment that finds them."""
    workspace, tools = folder / "workspace", folder / "tools"
    folder.mkdir(exist_ok=True)
    shutil.copytree(ROOT / "infra", workspace / "infra", ignore=shutil.ignore_patterns("__pycache__", "local"))
    tools.mkdir()
    for tool in TOOLS:
        _executable(tools / tool, answers.get(tool, ""))
    _executable(workspace / ".venv" / "bin" / "python", answers.get(".venv", ""))
    _executable(workspace / ".venv" / "bin" / "uv", "")
    _executable(workspace / ".ci" / "run", "")
    _executable(tools / "cp", "")  # copies the binary of Terraform
    return {"PATH": f"{tools}:{os.environ['PATH']}", "CALLS": str(calls)}


def _executable(path: Path, answers: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_STUB.format(answers=answers), "utf-8")
    path.chmod(0o755)
