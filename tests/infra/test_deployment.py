"""Dry runs of a deployment: commands, their order, and the effect of a failing step."""

import json
import re
from pathlib import Path

import pytest

from infra.deploy.stage import FUNCTIONS
from tests.infra.matching import match
from tests.infra.pipeline import BY_TRIGGER, DIGEST, run
from tests.infra.stubs import REGISTRY, RUNNING, answers, gcloud, position, python, storage, traffic

NEW = [f"pix-{name}-new" for name in FUNCTIONS]
TRIED = ("score", "outcome")
"""Functions that the smoke test covers."""


def test_deployment_runs_its_steps_in_order(tmp_path: Path) -> None:
    make = "mkdir -p build; touch build/sbom-jobs.json"
    ran = run("cloudbuild.yaml", tmp_path, answers(make=make))
    assert ran.failed is None, ran.output
    order = [
        r"^run$",
        r"^make audit",
        r"^python -m infra.deploy.stage score build/score$",
        r"^python -m infra.deploy.stage outcome build/outcome$",
        r"^docker build .*DIGEST=sha256:",
        rf"^pack build {REGISTRY}/score:c0ffee .*GOOGLE_FUNCTION_TARGET=score",
        rf"^pack build {REGISTRY}/outcome:c0ffee .*GOOGLE_FUNCTION_TARGET=outcome",
        rf"^pack build {REGISTRY}/label:c0ffee .*GOOGLE_FUNCTION_TARGET=label",
        r"^gcloud artifacts docker images scan .*/jobs:c0ffee",
        r"^docker push .*/jobs:c0ffee",
        r"^gcloud storage cp build/sbom-jobs.json gs://my-bank-pix-staging-terraform/sbom/c0ffee/",
        r"^python -m infra.deploy.migrate$",
        r"^terraform .* plan ",
        r"^terraform .* apply ",
        r"^gcloud run services update-traffic pix-score --update-tags=candidate=pix-score-new",
        r"^gcloud run services update-traffic pix-outcome --update-tags=candidate=pix-outcome-new",
        r"^python -m infra.deploy.smoke --candidates --timeout \d+ --full$",
        r"^gcloud run services update-traffic pix-score --to-revisions=pix-score-new=100",
        r"^gcloud run services update-traffic pix-outcome --to-revisions=pix-outcome-new=100",
        r"^gcloud run services update-traffic pix-label --to-revisions=pix-label-new=100",
        r"^gcloud run services update-traffic pix-score --remove-tags=candidate",
        r"^gcloud run services update-traffic pix-outcome --remove-tags=candidate",
    ]
    positions = [position(ran.calls, pattern) for pattern in order]
    assert positions == sorted(positions)
    assert traffic(ran.calls) == NEW


def test_terraform_gets_digests_and_the_files_of_the_environment(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers())
    for stage, jobs in (("tried", RUNNING), ("proven", f"{REGISTRY}/jobs@{DIGEST}")):
        given = json.loads((tmp_path / f"workspace/build/{stage}.tfvars.json").read_text("utf-8"))
        assert given["jobs_image"] == jobs
        assert given["function_images"] == {name: f"{REGISTRY}/{name}@{DIGEST}" for name in FUNCTIONS}
    init = ran.calls[position(ran.calls, "terraform .* init")]
    assert "environments/staging.gcs.tfbackend" in init
    assert " -reconfigure " in init, "another environment may have been initialised before"
    assert "gs://my-bank-pix-staging-terraform/staging.tfvars" in ran.calls[position(ran.calls, "storage cp gs:")]
    plan, apply = (ran.calls[position(ran.calls, f"terraform .* {verb} ")] for verb in ("plan", "apply"))
    assert match(r"-out=(\S+)$", plan)[1] == apply.split()[-1], "the applied plan must be the planned one"
    assert "-lock-timeout=" in plan


def test_jobs_get_the_new_image_after_the_smoke_test(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers())
    plans = [match(r"build/(\w+)\.tfvars\.json", call)[1] for call in ran.calls if " plan " in call]
    assert plans == ["tried", "proven"]
    smoked = position(ran.calls, "infra.deploy.smoke")
    assert position(ran.calls, r"tried\.tfvars") < smoked < position(ran.calls, r"proven\.tfvars")


def test_jobs_keep_their_image_if_the_smoke_test_fails(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(venv=python(smoke_passes=False)))
    assert not [call for call in ran.calls if "proven.tfvars" in call]


def test_first_jobs_use_the_new_image(tmp_path: Path) -> None:
    run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(jobs="")))
    given = json.loads((tmp_path / "workspace/build/tried.tfvars.json").read_text("utf-8"))
    assert given["jobs_image"] == f"{REGISTRY}/jobs@{DIGEST}"


def test_failed_listing_of_jobs_changes_nothing(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(jobs="refused")))
    assert ran.failed == "prepare"
    assert not [call for call in ran.calls if re.search(r"update-traffic|^terraform .* plan", call)]


def test_failed_lookup_of_traffic_changes_nothing(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(latest="refused")))
    assert ran.failed == "prepare"
    assert not [call for call in ran.calls if re.search(r"update-traffic|deploy.migrate|^terraform .* plan", call)]


def test_revision_of_another_deployment_is_refused(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(made=f"sha256:{'f' * 64}")))
    assert ran.failed == "candidate"
    assert "which is not an image of this deployment" in ran.output
    assert not [call for call in ran.calls if re.search("update-traffic|infra.deploy.smoke", call)]


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_unknown_state_of_the_model_ends_the_deployment(tmp_path: Path, status: int) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(curl=storage(status)))
    assert ran.failed == "candidate"
    assert f"answers {status}" in ran.output
    assert traffic(ran.calls) == []


def test_failed_smoke_test_keeps_traffic_and_fails_the_build(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(venv=python(smoke_passes=False)))
    assert ran.failed == "traffic"
    assert traffic(ran.calls) == []
    untagged = [f"gcloud run services update-traffic pix-{name} --remove-tags=candidate --quiet" for name in TRIED]
    assert ran.calls[-2:] == untagged


def test_result_of_an_earlier_smoke_test_is_ignored(tmp_path: Path) -> None:
    stubs = answers(venv=python(smoke_passes=False), terraform="mkdir -p build; touch build/smoked")
    assert run("cloudbuild.yaml", tmp_path, stubs).failed == "traffic"


@pytest.mark.parametrize(
    ("step", "tool", "code"),
    [
        ("scan", "gcloud", gcloud(critical="CVE-2026-1")),
        ("migrate", "venv", python(migrates=False)),
        ("apply", "terraform", 'case "$*" in *" plan "*) exit 1 ;; esac'),
    ],
)
def test_failure_before_the_smoke_test_applies_nothing(tmp_path: Path, step: str, tool: str, code: str) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(**{tool: code}))
    assert ran.failed == step
    assert not [call for call in ran.calls if re.match(r"terraform .* apply ", call)]
    assert traffic(ran.calls) == []


def test_image_with_critical_vulnerabilities_is_not_pushed(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(critical="CVE-2026-1")))
    assert ran.failed == "scan"
    assert "CVE-2026-1" in ran.output
    assert not [call for call in ran.calls if call.startswith("docker push")]


def test_traffic_is_pinned_before_terraform_makes_a_revision(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(latest="True"), venv=python(smoke_passes=False)))
    assert traffic(ran.calls) == [f"pix-{name}-old" for name in FUNCTIONS]
    assert position(ran.calls, "--to-revisions") < position(ran.calls, "^terraform .* plan ")


def test_first_deployment_pins_nothing_and_needs_no_model(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(there="", jobs=""), curl=storage(404)))
    assert ran.failed is None, ran.output
    assert traffic(ran.calls) == NEW
    assert not ran.calls[position(ran.calls, "infra.deploy.smoke")].endswith("--full")


def test_images_are_marked_proven_by_digest_at_the_end(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers())
    marked = [call for call in ran.calls if call.startswith("crane tag")]
    assert marked == [f"crane tag {REGISTRY}/{name}@{DIGEST} proven-c0ffee" for name in ("jobs", *FUNCTIONS)]
    assert position(ran.calls, "crane tag") > position(ran.calls, r"terraform .* plan .*proven\.tfvars")


@pytest.mark.parametrize(
    "refused",
    [
        answers(venv=python(smoke_passes=False)),
        answers(curl=storage(503)),
        answers(terraform='case "$*" in *" plan "*proven.tfvars*) exit 1 ;; esac'),
    ],
    ids=["smoke", "candidate", "jobs"],
)
def test_refused_image_is_not_marked_proven(tmp_path: Path, refused: dict[str, str]) -> None:
    ran = run("cloudbuild.yaml", tmp_path, refused)
    assert ran.failed
    assert not [call for call in ran.calls if call.startswith("crane")]


def test_production_copies_the_images_of_staging(tmp_path: Path) -> None:
    ran = run("infra/deploy/cloudbuild.production.yaml", tmp_path, answers())
    assert ran.failed is None, ran.output
    copied = [call for call in ran.calls if call.startswith("crane copy")]
    assert copied[0] == f"crane copy {BY_TRIGGER['_FROM_REGISTRY']}/jobs:proven-c0ffee {REGISTRY}/jobs:c0ffee"
    assert len(copied) == 1 + len(FUNCTIONS)
    assert not [call for call in ran.calls if call.startswith(("docker", "pack"))]
    assert "environments/production.gcs.tfbackend" in ran.calls[position(ran.calls, "terraform .* init")]
    assert len([call for call in ran.calls if re.match(r"gcloud .* scan .*--remote", call)]) == len(copied)
    assert traffic(ran.calls) == NEW
