"""Images of a version are pushed and copied once, as tags cannot be moved, and builds await those before them."""

import re
import sys
from pathlib import Path

import pytest

from infra.deploy import stage
from infra.deploy.stage import ROOT
from tests.infra.pipeline import read, run
from tests.infra.stubs import REGISTRY, answers, crane, gcloud

ATTEST = "infra/deploy/cloudbuild.attest.yaml"


def test_an_image_that_was_pushed_before_stays(tmp_path: Path) -> None:
    there = f'case "$1 $3" in "manifest {REGISTRY}/jobs:c0ffee") exit 0 ;; manifest*) exit 1 ;; esac\n'
    ran = run("cloudbuild.yaml", tmp_path, answers(docker=there), {"push"})
    assert ran.failed is None, ran.output
    pushed = [call.rpartition("/")[2] for call in ran.calls if call.startswith("docker push")]
    assert pushed == [f"{name}:c0ffee" for name in ("score", "decide", "outcome", "label", "console")]


def test_the_build_may_not_deploy(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers())
    used = {" ".join(call.split()[:4]) for call in ran.calls if call.startswith(("gcloud", "terraform", "crane"))}
    assert used == {"gcloud artifacts docker images"}


def test_the_build_that_pushes_runs_no_code_of_a_package() -> None:
    """Tests and audits are in the checks; what is installed are wheels, where no account's token is in reach."""
    for step in read("cloudbuild.yaml")["steps"]:
        tool, arguments = step["name"].partition("@")[0].rpartition(":")[0], step.get("args", [])
        assert not any("--network" in each for each in arguments), "its containers reach no token of the account"
        if tool == "buildpacksio/pack":
            assert "--env=PIP_ONLY_BINARY=:all:" in arguments
        elif tool == "docker" and arguments[0] == "build":
            (dockerfile,) = [each.partition("=")[2] for each in arguments if each.startswith("--file=")]
            installs = re.findall(r"pip install (.*)", (ROOT / dockerfile).read_text("utf-8"))
            assert all("--only-binary :all:" in each or "--no-build-isolation ." in each for each in installs)
        elif step["id"] == "stage":
            called = [line for line in Path(str(stage.__file__)).read_text("utf-8").splitlines() if "import" in line]
            imported = {line.split()[1] for line in called if line.startswith(("import ", "from "))}
            assert imported <= sys.stdlib_module_names
        else:
            assert tool in ("docker", "gcr.io/google.com/cloudsdktool/google-cloud-cli")
            assert step["entrypoint"] == "sh"


def test_deployments_install_wheels_alone() -> None:
    for name in ("staging", "production"):
        build = read(f"infra/deploy/cloudbuild.{name}.yaml")
        assert "PIP_ONLY_BINARY=:all:" in build["options"]["env"]


def test_an_image_that_was_copied_before_is_not_copied_again(tmp_path: Path) -> None:
    ran = run("infra/deploy/cloudbuild.promote.yaml", tmp_path, answers(crane=crane("c0ffee")), {"promote"})
    assert ran.failed is None, ran.output
    assert not [call for call in ran.calls if call.startswith("crane copy")]


def test_attestations_wait_for_the_checks_and_the_build_of_the_images(tmp_path: Path) -> None:
    late = f"""case "$*" in
      "builds list"*pix-build@*) [ -e "$CALLS.slept" ] || {{ echo WORKING; exit 0; }} ;;
    esac
    {gcloud()}"""
    ran = run(ATTEST, tmp_path, answers(gcloud=late, sleep='touch "$CALLS.slept"'), {"built"})
    assert ran.failed is None, ran.output
    assert ran.calls.count("sleep 30") == 1


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        ({"built": "FAILURE"}, "let its build as pix-build in bank succeed (FAILURE)"),
        ({"checked": "FAILURE"}, "let its build as pix-test in bank succeed (FAILURE)"),
        ({"checked": ""}, "let its build as pix-test in bank succeed (none)"),
        ({"checked": "WORKING\\nFAILURE"}, "let its build as pix-test in bank succeed (WORKING)"),
    ],
    ids=str,
)
def test_nothing_waits_longer_than_two_hours_or_for_a_build_that_has_failed(
    tmp_path: Path, failing: dict[str, str], told: str
) -> None:
    ran = run(ATTEST, tmp_path, answers(gcloud=gcloud(**failing)), {"built"})
    assert ran.failed == "built"
    assert told in ran.output
    waited = sum(int(call.removeprefix("sleep ")) for call in ran.calls if call.startswith("sleep "))
    assert waited == (0 if "FAILURE)" in told else 7170)


def test_one_success_of_a_version_is_enough(tmp_path: Path) -> None:
    again = gcloud(checked="FAILURE\\nSUCCESS", built="WORKING\\nSUCCESS")
    assert run(ATTEST, tmp_path, answers(gcloud=again), {"built"}).failed is None
