"""Images of a version are pushed, copied and marked once, as tags cannot be moved, and deployments await them."""

from pathlib import Path

from tests.infra.pipeline import run
from tests.infra.stubs import REGISTRY, answers, crane, gcloud

STAGING = "infra/deploy/cloudbuild.staging.yaml"


def test_an_image_that_was_pushed_before_stays(tmp_path: Path) -> None:
    there = f'case "$1 $3" in "manifest {REGISTRY}/jobs:c0ffee") exit 0 ;; manifest*) exit 1 ;; esac\n'
    ran = run("cloudbuild.yaml", tmp_path, answers(docker=there), {"push"})
    assert ran.failed is None, ran.output
    pushed = [call.rpartition("/")[2] for call in ran.calls if call.startswith("docker push")]
    assert pushed == [f"{name}:c0ffee" for name in ("score", "decide", "outcome", "label", "console")]


def test_the_build_may_not_deploy(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers())
    used = {" ".join(call.split()[:4]) for call in ran.calls if call.startswith(("gcloud", "terraform", "crane"))}
    assert used == {"gcloud artifacts docker images", "terraform fmt -check -recursive"}


def test_an_image_that_was_copied_before_is_not_copied_again(tmp_path: Path) -> None:
    ran = run("infra/deploy/cloudbuild.plan.yaml", tmp_path, answers(crane=crane("c0ffee")), {"promote"})
    assert ran.failed is None, ran.output
    assert not [call for call in ran.calls if call.startswith("crane copy")]


def test_an_image_that_was_proven_before_is_not_marked_again(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(crane=crane("proven-c0ffee")), {"prepare", "prove"})
    assert ran.failed is None, ran.output
    assert [call for call in ran.calls if call == f"crane digest {REGISTRY}/jobs:proven-c0ffee"]
    assert not [call for call in ran.calls if call.startswith("crane tag")]


def test_a_deployment_waits_for_the_images_of_its_build(tmp_path: Path) -> None:
    late = f"""case "$*" in
      "artifacts docker images describe"*) [ -e "$CALLS.slept" ] || exit 1 ;;
      "builds list"*) echo WORKING; exit 0 ;;
    esac
    {gcloud()}"""
    ran = run(STAGING, tmp_path, answers(gcloud=late, sleep='touch "$CALLS.slept"'), {"built"})
    assert ran.failed is None, ran.output
    assert ran.calls.count("sleep 30") == 1


def test_a_deployment_ends_if_the_build_of_its_images_has_failed(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(unbuilt="FAILURE")), {"built"})
    assert ran.failed == "built"
    assert "let pix-build succeed (it says: FAILURE)" in ran.output
    assert not [call for call in ran.calls if call.startswith(("terraform", "sleep"))]
