"""Dry runs of a deployment: commands, their order, and the effect of a failing step."""

import json
import re
import sys
from pathlib import Path

import pytest

from infra.deploy.stage import DESK, FUNCTIONS
from tests.infra.matching import match
from tests.infra.pipeline import BY_TRIGGER, DIGEST, run
from tests.infra.stubs import REGISTRY, RUNNING, answers, gcloud, moves, position, python, storage, traffic

NEW, OLD = ([f"pix-{name}-{age}" for name in FUNCTIONS] for age in ("new", "old"))
WITH_DESK = "pix-console pix-decide pix-label pix-outcome pix-score"
STAGING = "infra/deploy/cloudbuild.staging.yaml"
SHOWN = "gs://my-bank-pix-production-terraform/plans/production/c0ffee.json"


def plan_of(action: str, location: str = "southamerica-east1") -> str:
    """Return a plan that changes a bucket, as Terraform prints it."""
    before, after = {"name": "rows", "location": "BR"}, {"name": "rows", "location": location}
    change = {
        "actions": [action],
        "before": before,
        "after": None if action == "delete" else after,
        "after_unknown": {},
    }
    changed = {"address": "google_storage_bucket.rows", "type": "google_storage_bucket", "change": change}
    return json.dumps({"resource_changes": [changed]})


def test_deployment_runs_its_steps_in_order(tmp_path: Path) -> None:
    make = "mkdir -p build; touch build/sbom-jobs.json"
    checked = run("infra/deploy/cloudbuild.checks.yaml", tmp_path / "checks", answers())
    built = run("cloudbuild.yaml", tmp_path / "build", answers())
    assert (checked.failed, built.failed) == (None, None), checked.output + built.output
    attested = run("infra/deploy/cloudbuild.attest.yaml", tmp_path / "attested", answers())
    assert attested.failed is None, attested.output
    ran = run(STAGING, tmp_path / "deployment", answers(make=make))
    assert ran.failed is None, ran.output
    calls = checked.calls + built.calls + attested.calls + ran.calls
    order = [
        r"^run$",
        r"^make audit",
        r"^python -m infra.deploy.stage score build/score$",
        r"^python -m infra.deploy.stage outcome build/outcome$",
        r"^python -m infra.deploy.stage console build/console$",
        r"^docker build .*DIGEST=sha256:",
        rf"^pack build {REGISTRY}/score:c0ffee .*GOOGLE_FUNCTION_TARGET=score",
        rf"^pack build {REGISTRY}/outcome:c0ffee .*GOOGLE_FUNCTION_TARGET=outcome",
        rf"^pack build {REGISTRY}/label:c0ffee .*GOOGLE_FUNCTION_TARGET=label",
        rf"^pack build {REGISTRY}/console:c0ffee .*GOOGLE_FUNCTION_TARGET=console",
        r"^gcloud artifacts docker images scan .*/jobs:c0ffee",
        r"^gcloud artifacts docker images scan .*/console:c0ffee",
        r"^docker push .*/jobs:c0ffee",
        r"^docker push .*/console:c0ffee",
        rf"^gcloud beta container binauthz attestations sign-and-create --artifact-url={REGISTRY}/jobs@sha256:",
        r"^gcloud storage cp build/sbom-jobs.json gs://my-bank-pix-staging-terraform/sbom/c0ffee/",
        r"^python -m infra.deploy.migrate$",
        r"^terraform .* plan ",
        r"^python -m infra.deploy.guard build/tried.plan.json$",
        r"^terraform .* apply ",
        r"^gcloud run services update-traffic pix-score --update-tags=candidate=pix-score-new",
        r"^gcloud run services update-traffic pix-outcome --update-tags=candidate=pix-outcome-new",
        r"^python -m infra.deploy.smoke --candidates --timeout \d+ --full$",
        r"^gcloud run services update-traffic pix-score --to-revisions=pix-score-new=1 ",
        r"^gcloud run services update-traffic pix-score --to-revisions=pix-score-new=100",
        r"^gcloud run services update-traffic pix-outcome --to-revisions=pix-outcome-new=100",
        r"^gcloud run services update-traffic pix-label --to-revisions=pix-label-new=100",
        r"^gcloud run services update-traffic pix-score --remove-tags=candidate",
        r"^gcloud run services update-traffic pix-outcome --remove-tags=candidate",
    ]
    positions = [position(calls, pattern) for pattern in order]
    assert positions == sorted(positions)
    assert traffic(ran.calls) == NEW


def test_terraform_gets_digests_and_the_files_of_the_environment(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers())
    for stage, jobs in (("tried", RUNNING), ("proven", f"{REGISTRY}/jobs@{DIGEST}")):
        given = json.loads((tmp_path / f"workspace/build/{stage}.tfvars.json").read_text("utf-8"))
        assert given["jobs_image"] == jobs
        assert given["function_images"] == {name: f"{REGISTRY}/{name}@{DIGEST}" for name in FUNCTIONS}
    init = ran.calls[position(ran.calls, "terraform .* init")]
    assert "environments/staging.gcs.tfbackend" in init
    assert " -reconfigure " in init, "another environment may have been initialised before"
    assert "gs://my-bank-pix-staging-terraform/staging.tfvars" in ran.calls[position(ran.calls, "storage cp gs:")]
    plan, show, apply = (
        ran.calls[position(ran.calls, f"terraform .* {verb} ")] for verb in ("plan", "show", "apply")
    )
    planned = match(r"-out=(\S+)$", plan)[1]
    assert [planned] * 2 == [show.split()[-1], apply.split()[-1]], "the applied plan must be the planned one"
    assert "-lock-timeout=" in plan


def test_jobs_get_the_new_image_after_the_smoke_test(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers())
    plans = [match(r"build/(\w+)\.tfvars\.json", call)[1] for call in ran.calls if " plan " in call]
    assert plans == ["tried", "proven"]
    smoked = position(ran.calls, "infra.deploy.smoke")
    assert position(ran.calls, r"tried\.tfvars") < smoked < position(ran.calls, r"proven\.tfvars")


def test_jobs_keep_their_image_if_the_smoke_test_fails(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(venv=python(smoke_passes=False)))
    assert not [call for call in ran.calls if "proven.tfvars" in call]


def test_the_desk_has_its_new_revision_tried_and_gets_traffic_with_the_functions(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(there=WITH_DESK, latest="True")))
    assert ran.failed is None, ran.output
    for stage in ("tried", "proven"):
        given = json.loads((tmp_path / f"workspace/build/{stage}.tfvars.json").read_text("utf-8"))
        assert given["desk_image"] == f"{REGISTRY}/{DESK}@{DIGEST}"
    assert traffic(ran.calls) == [*OLD, "pix-console-old", *NEW, "pix-console-new"]


def test_without_a_desk_nothing_asks_for_one(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers())
    assert ran.failed is None, ran.output
    assert not [call for call in ran.calls if call.startswith("gcloud run") and "pix-console" in call]


def test_first_jobs_use_the_new_image(tmp_path: Path) -> None:
    run(STAGING, tmp_path, answers(gcloud=gcloud(jobs="")))
    given = json.loads((tmp_path / "workspace/build/tried.tfvars.json").read_text("utf-8"))
    assert given["jobs_image"] == f"{REGISTRY}/jobs@{DIGEST}"


def test_failed_listing_of_jobs_changes_nothing(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(jobs="refused")))
    assert ran.failed == "prepare"
    assert not [call for call in ran.calls if re.search(r"update-traffic|^terraform .* plan", call)]


def test_failed_lookup_of_traffic_changes_nothing(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(latest="refused")))
    assert ran.failed == "pin"
    assert not [call for call in ran.calls if re.search(r"update-traffic|deploy.migrate|^terraform .* plan", call)]


def test_revision_of_another_deployment_is_refused(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(made=f"sha256:{'f' * 64}")))
    assert ran.failed == "candidate"
    assert "which is not an image of this deployment" in ran.output
    assert not [call for call in ran.calls if re.search("update-traffic|infra.deploy.smoke", call)]


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_unknown_state_of_the_model_ends_the_deployment(tmp_path: Path, status: int) -> None:
    ran = run(STAGING, tmp_path, answers(curl=storage(status)))
    assert ran.failed == "candidate"
    assert f"answers {status}" in ran.output
    assert traffic(ran.calls) == []


def test_failed_smoke_test_keeps_traffic_and_fails_the_build(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(venv=python(smoke_passes=False)))
    assert ran.failed == "traffic"
    assert traffic(ran.calls) == []
    command = "gcloud run services update-traffic pix-{} --remove-tags=candidate --quiet"
    untagged = [command.format(name) for name in FUNCTIONS]
    assert ran.calls[-len(untagged) :] == untagged


def test_result_of_an_earlier_smoke_test_is_ignored(tmp_path: Path) -> None:
    stubs = answers(venv=python(smoke_passes=False), terraform="mkdir -p build; touch build/smoked")
    assert run(STAGING, tmp_path, stubs).failed == "traffic"


@pytest.mark.parametrize(
    ("step", "tool", "code"),
    [
        ("migrate", "venv", python(migrates=False)),
        ("plan", "terraform", 'case "$*" in *" plan "*) exit 1 ;; esac'),
    ],
)
def test_failure_before_the_smoke_test_applies_nothing(tmp_path: Path, step: str, tool: str, code: str) -> None:
    ran = run(STAGING, tmp_path, answers(**{tool: code}))
    assert ran.failed == step
    assert not [call for call in ran.calls if re.match(r"terraform .* apply ", call)]
    assert traffic(ran.calls) == []


def test_image_with_critical_vulnerabilities_is_not_pushed(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(critical="CRITICAL\tCVE-2026-1")))
    assert ran.failed == "scan"
    assert "has critical vulnerabilities: CVE-2026-1\n" in ran.output
    assert not [call for call in ran.calls if call.startswith("docker push")]


def test_traffic_is_pinned_before_terraform_makes_a_revision(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(latest="True"), venv=python(smoke_passes=False)))
    assert traffic(ran.calls) == OLD
    assert position(ran.calls, "--to-revisions") < position(ran.calls, "^terraform .* plan ")


def test_first_deployment_pins_nothing_and_needs_no_model(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(there="", jobs=""), curl=storage(404)))
    assert ran.failed is None, ran.output
    assert traffic(ran.calls) == NEW
    assert moves(ran.calls) == ["100"], "there is no other revision to share the traffic with"
    assert not ran.calls[position(ran.calls, "infra.deploy.smoke")].endswith("--full")


@pytest.mark.parametrize(
    "refused",
    [
        answers(venv=python(smoke_passes=False)),
        answers(curl=storage(503)),
        answers(terraform='case "$*" in *" plan "*proven.tfvars*) exit 1 ;; esac'),
    ],
    ids=["smoke", "candidate", "jobs"],
)
def test_a_build_that_refuses_an_image_fails_so_that_production_takes_none_of_it(
    tmp_path: Path, refused: dict[str, str]
) -> None:
    assert run(STAGING, tmp_path, refused).failed


def test_production_copies_scans_and_attests_the_images_that_staging_has_deployed(tmp_path: Path) -> None:
    ran = run("infra/deploy/cloudbuild.promote.yaml", tmp_path, answers())
    assert ran.failed is None, ran.output
    asked = [
        match(r"--project=(\S+) --region=(\S+) .*~/(\S+)@$", call).groups()
        for call in ran.calls
        if "builds list" in call
    ]
    accounts = ("pix-test", "pix-build", "pix-attest", "pix-deploy")
    assert asked == [("staging", "southamerica-east1", account) for account in accounts]
    copied = [call for call in ran.calls if call.startswith("crane copy")]
    assert copied[0] == f"crane copy {BY_TRIGGER['_FROM_REGISTRY']}/jobs@{DIGEST} {REGISTRY}/jobs:c0ffee"
    assert len(copied) == len(("jobs", *FUNCTIONS, DESK))
    assert len([call for call in ran.calls if re.match(r"gcloud .* scan .*--remote", call)]) == len(copied)
    assert position(ran.calls, r"scan .*/console:") < position(ran.calls, "sign-and-create")


def test_the_plan_of_production_is_kept_for_its_approver_and_changes_nothing(tmp_path: Path) -> None:
    ran = run("infra/deploy/cloudbuild.plan.yaml", tmp_path, answers())
    assert ran.failed is None, ran.output
    assert "environments/production.gcs.tfbackend" in ran.calls[position(ran.calls, "terraform .* init")]
    assert ran.calls[-1] == f"gcloud storage cp build/proven.plan.json {SHOWN}"
    assert not [
        call
        for call in ran.calls
        if re.search(r"^docker |^pack |^crane |update-traffic|deploy.migrate| apply ", call)
    ]


def test_production_deploys_with_the_steps_of_staging(tmp_path: Path) -> None:
    ran = run("infra/deploy/cloudbuild.production.yaml", tmp_path, answers())
    assert ran.failed is None, ran.output
    assert ran.calls[0] == f"gcloud storage cp {SHOWN} build/approved.plan.json"
    assert not [call for call in ran.calls if call.startswith(("docker", "pack", "crane copy"))]
    assert traffic(ran.calls) == NEW


def test_production_without_a_plan_to_approve_changes_nothing(tmp_path: Path) -> None:
    stub = f'case "$*" in *"{SHOWN}"*) exit 1 ;; esac\n' + gcloud()
    ran = run("infra/deploy/cloudbuild.production.yaml", tmp_path, answers(gcloud=stub))
    assert ran.failed == "approved"
    assert "let pix-plan succeed for this tag" in ran.output
    assert len(ran.calls) == 1


@pytest.mark.parametrize(
    ("build", "approved", "planned", "reason"),
    [
        ("plan", None, plan_of("delete"), "destroys data: google_storage_bucket.rows"),
        ("production", plan_of("update"), plan_of("delete"), "destroys data: google_storage_bucket.rows"),
        ("production", plan_of("update"), plan_of("update", "US"), "is not in the approved plan"),
    ],
    ids=["before approval", "after approval", "another change"],
)
def test_plan_that_destroys_data_or_was_not_approved_is_never_applied(
    tmp_path: Path, build: str, approved: str | None, planned: str, reason: str
) -> None:
    shown = f"""case "$*" in *" show "*) echo '{planned}' ;; esac"""
    fetched = f"""case "$*" in "storage cp {SHOWN}"*) echo '{approved}' >build/approved.plan.json ;; esac\n"""
    guard = f'case "$*" in *infra.deploy.guard*) exec {sys.executable} "$@" ;; esac'
    ran = run(
        f"infra/deploy/cloudbuild.{build}.yaml",
        tmp_path,
        answers(terraform=shown, gcloud=fetched + gcloud(), python=guard),
    )
    assert ran.failed == "guard", ran.output
    assert reason in ran.output
    assert not [call for call in ran.calls if re.search(r"^terraform .* apply |storage cp build/proven", call)]
