"""The workflows of GitHub start the builds of the pipeline, with pinned actions and no right beyond that."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.deploy.stage import ROOT
from tests.infra.pipeline import ACCOUNTS, DIGEST, FILES, read

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in FOLDER.glob("*.yml")}
ENVIRONMENTS = [path.relative_to(ROOT).as_posix() for path in (ROOT / "infra").glob("terraform/environments/*")]
GIVEN = {
    "BASE_DIGEST": "sha256:b",
    "BUILDER": "builder@sha256:c",
    "FROM_REGISTRY": "region/staging/pix",
    "RUN_IMAGE": "run@sha256:d",
}


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in WORKFLOWS[name]["jobs"].values() for step in job.get("steps", [])]


def environment_of(file: str) -> str:
    """Return the environment of a build; checks and builds of images are for staging alone."""
    name: str = read(file).get("substitutions", {}).get("_ENVIRONMENT", "staging")
    return name


def pipeline_version(image: str) -> str:
    """Return the version of a builder in all files of the pipeline."""
    versions: set[str] = {
        step["name"].partition("@")[0].rpartition(":")[2]
        for file in FILES
        for step in read(file)["steps"]
        if step["name"].partition("@")[0].rpartition(":")[0].endswith(image)
    }
    (version,) = versions
    return version


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_by_commit_and_leave_no_credentials(name: str) -> None:
    text = (FOLDER / f"{name}.yml").read_text("utf-8")
    for uses in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(r"\./\.github/workflows/\w+\.yml|[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", uses), uses
    for step in steps(name):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nothing_is_permitted_but_by_a_job(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    for job in WORKFLOWS[name]["jobs"].values():
        federated = name != "check"
        assert job["permissions"] == {"contents": "read", **({"id-token": "write"} if federated else {})}


def test_a_pull_request_gets_no_identity_and_starts_no_build() -> None:
    triggers = {name: set(workflow[True]) for name, workflow in WORKFLOWS.items()}  # YAML 1.1 reads `on` as true
    assert triggers == {"build": {"workflow_call"}, "check": {"pull_request"}, "deploy": {"push"}}


def test_jobs_start_the_files_of_their_environment() -> None:
    started = {name: job["with"] for name, job in WORKFLOWS["deploy"]["jobs"].items()}
    assert {name: (each["environment"], each["file"]) for name, each in started.items()} == {
        "build": ("staging", "cloudbuild.yaml"),
        "test": ("staging", "infra/deploy/cloudbuild.checks.yaml"),
        "attest": ("staging", "infra/deploy/cloudbuild.attest.yaml"),
        "staging": ("staging", "infra/deploy/cloudbuild.staging.yaml"),
        "promote": ("production", "infra/deploy/cloudbuild.promote.yaml"),
        "plan": ("production", "infra/deploy/cloudbuild.plan.yaml"),
        "production": ("production", "infra/deploy/cloudbuild.production.yaml"),
    }
    for each in started.values():
        assert environment_of(each["file"]) == each["environment"]
    needs = {name: job.get("needs") for name, job in WORKFLOWS["deploy"]["jobs"].items()}
    assert needs == {
        "build": None,
        "test": None,
        "attest": ["build", "test"],
        "staging": "attest",
        "promote": None,
        "plan": "promote",
        "production": "plan",
    }


def test_tools_have_the_versions_of_the_pipeline() -> None:
    given = {
        step["uses"].partition("@")[0]: step["with"] for step in steps("check") + steps("build") if "uses" in step
    }
    assert given["hashicorp/setup-terraform"]["terraform_version"] == pipeline_version("terraform")
    assert given["google-github-actions/setup-gcloud"]["version"] == pipeline_version("google-cloud-cli")
    checks = " ".join(step["run"] for step in steps("check") if "run" in step)
    for command in ("terraform fmt -check -recursive", ".ci/run", "test-pythons", "audit licences"):
        assert command in checks


def submitted(file: str, folder: Path, digest: str) -> subprocess.CompletedProcess[str]:
    """Start the build of a checkout whose builders have this digest; gcloud is a stub that prints its arguments."""
    for name, text in {"gcloud": 'printf "%s\\n" "$@"', "git": f"echo {'c' * 40}"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", "utf-8")
        (folder / name).chmod(0o755)
    for path in ("infra/deploy/names.sh", "infra/deploy/submit.sh", *ENVIRONMENTS, file):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / path).read_text("utf-8")
        unpinned = re.sub(r"(?m)^( *name: [^@\n]*)(@.*)?$", r"\1", text)
        (folder / path).write_text(re.sub(r"(?m)^( *name: .*)$", rf"\1{digest}", unpinned), "utf-8")
    (submit,) = [step for step in steps("build") if "submit.sh" in step.get("run", "")]
    environment = {
        **dict.fromkeys(submit["env"], ""),
        **GIVEN,
        "ENVIRONMENT": environment_of(file),
        "PROJECT": "bank",
        "REGION": "r1",
        "FILE": file,
        "PATH": f"{folder}:{os.environ['PATH']}",
    }
    command = ["sh", "-euc", submit["run"]]
    return subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("file", FILES)
def test_a_build_gets_exactly_the_substitutions_that_its_file_lacks(file: str, tmp_path: Path) -> None:
    done = submitted(file, tmp_path, f"@{DIGEST}")
    assert done.returncode == 0, done.stderr
    (given,) = re.findall(r"--substitutions=(.*)", done.stdout)
    assert f"serviceAccounts/{ACCOUNTS[file]}@bank" in done.stdout
    values = dict(each.split("=") for each in given.split(","))
    own = read(file).get("substitutions", {})
    lacking = {name: GIVEN[name.removeprefix("_")] for name, value in own.items() if not value}
    assert values.pop("COMMIT_SHA") == "c" * 40
    assert values == lacking | ({"_REGION": "r1"} if "_REGION" in own else {})


@pytest.mark.parametrize("file", FILES)
def test_no_build_starts_with_builders_that_have_no_digest(file: str, tmp_path: Path) -> None:
    done = submitted(file, tmp_path, "")
    assert done.returncode == 1
    assert "run infra/deploy/digests.sh" in done.stderr
    assert not done.stdout
