"""Only images that the pipeline has attested run: its attestations, the policy, and all that names the policy."""

import re
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.stage import DESK, FUNCTIONS, ROOT
from tests.infra.configuration import Configuration
from tests.infra.evaluation import Refused, evaluate
from tests.infra.matching import match
from tests.infra.pipeline import ACCOUNTS, DIGEST, FILES, read, run, scripts
from tests.infra.stubs import REGISTRY, answers, gcloud

TERRAFORM = Configuration.read()
NAMES = match(
    r"ATTESTOR=(\S+)\nKEYRING=(\S+)\nSIGNED_BY=(\d+)\n", (ROOT / "infra" / "deploy" / "names.sh").read_text("utf-8")
)
ATTESTING = ("attest", "promote")
IMAGES = ("jobs", *FUNCTIONS, DESK)
KEY = f"projects/bank/locations/southamerica-east1/keyRings/{NAMES[2]}/cryptoKeys/{NAMES[1]}/cryptoKeyVersions/"


def attested(folder: Path, build: str, by: str = "[]") -> list[str]:
    """Return the attestations that a build makes, where its images have those of `by`."""
    stubs = answers(gcloud=gcloud(attested=by))
    ran = run(f"infra/deploy/cloudbuild.{build}.yaml", folder, stubs, {"attest"})
    assert ran.failed is None, ran.output
    return [call for call in ran.calls if "sign-and-create" in call]


@pytest.mark.parametrize("build", ATTESTING)
def test_every_image_is_attested_by_its_digest_and_checked_against_the_attestor(tmp_path: Path, build: str) -> None:
    made = attested(tmp_path, build)
    urls = [match(r"--artifact-url=(\S+)", call)[1] for call in made]
    assert urls == [f"{REGISTRY}/{name}@{DIGEST}" for name in IMAGES]
    assert all(" --validate " in call for call in made)


@pytest.mark.parametrize(("version", "again"), [(NAMES[3], 0), ("9", len(IMAGES))])
def test_an_attestation_is_made_once_by_each_version_of_the_key(tmp_path: Path, version: str, again: int) -> None:
    there = f'[{{"publicKeyId": "//cloudkms.googleapis.com/v1/{KEY}{version}"}}]'
    assert len(attested(tmp_path, "attest", there)) == again


def test_an_attestation_that_cannot_be_looked_up_or_made_fails_the_build_that_a_deployment_waits_for(
    tmp_path: Path,
) -> None:
    for part in ("list", "sign-and-create"):
        refused = f'case "$*" in *"attestations {part}"*) exit 1 ;; esac\n' + gcloud()
        assert run("infra/deploy/cloudbuild.attest.yaml", tmp_path / part, answers(gcloud=refused)).failed == "attest"


def test_nothing_is_attested_before_it_is_checked_and_built_or_copied_and_scanned(tmp_path: Path) -> None:
    refused = {
        ("attest", "built"): [gcloud(built="FAILURE"), gcloud(checked="FAILURE"), gcloud(checked="WORKING")],
        ("promote", "deployed"): [gcloud(deployed="FAILURE"), gcloud(checked="FAILURE"), gcloud(approved="")],
        ("promote", "scan"): [gcloud(critical="CRITICAL\tCVE-2026-1")],
    }
    for (build, step), stubs in refused.items():
        for number, stub in enumerate(stubs):
            folder = tmp_path / f"{step}{number}"
            ran = run(f"infra/deploy/cloudbuild.{build}.yaml", folder, answers(gcloud=stub))
            assert ran.failed == step, ran.output
            assert not [call for call in ran.calls if "attestations" in call]
    steps = [step["id"] for step in read("infra/deploy/cloudbuild.promote.yaml")["steps"]]
    assert steps == ["deployed", "promote", "scan", "attest"]


@pytest.mark.parametrize("build", ["staging", "plan"])
def test_nothing_is_planned_with_images_that_are_not_attested(tmp_path: Path, build: str) -> None:
    ran = run(f"infra/deploy/cloudbuild.{build}.yaml", tmp_path, answers(gcloud=gcloud(approved="FAILURE")))
    assert ran.failed == "attested"
    assert "let its build as pix-attest in bank succeed (FAILURE)" in ran.output
    assert not [call for call in ran.calls if call.startswith("terraform")]


def test_only_builds_of_the_account_that_attests_attest() -> None:
    attesting = {ACCOUNTS[name] for name in FILES if "attest.sh" in str(read(name))}
    assert attesting == {"pix-attest"}
    assert not re.search(r"\b(python|pip|make|uv)\b", re.sub(r"#.*", "", scripts("pix-attest"))), "code of a package"
    tools = {step["name"].partition("@")[0].rpartition(":")[0] for name in ATTESTING for step in _steps(name)}
    assert tools == {"gcr.io/google.com/cloudsdktool/google-cloud-cli", "gcr.io/go-containerregistry/crane/debug"}


def _steps(build: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = read(f"infra/deploy/cloudbuild.{build}.yaml")["steps"]
    return steps


def test_everything_that_runs_an_image_names_the_policy() -> None:
    kinds = ("google_cloud_run_v2_service", "google_cloud_run_v2_job", "google_cloud_run_v2_worker_pool")
    running = [block for kind in kinds for block in TERRAFORM.resources(kind)]
    assert {block.labels[1] for block in running} == {"functions", "desk", "mlflow", "jobs", "workers"}
    for block in running:
        (policy,) = block.body["binary_authorization"]
        assert policy["use_default"] is True
        assert "breakglass_justification" not in policy


def test_whoever_breaks_the_glass_is_noticed(deployed: dict[str, Any]) -> None:
    policy = deployed["google_monitoring_alert_policy.alerts"]["glass_broken"]
    (found,) = policy["conditions"][0]["condition_matched_log"]
    label = "image-policy.k8s.io/break-glass"
    assert f'protoPayload.serviceName="k8s.io" AND "{label}"' in found["filter"]
    assert 'protoPayload.serviceName="run.googleapis.com" AND "breakglass"' in found["filter"]
    documented = (ROOT / "infra" / "README.md").read_text("utf-8")
    assert f'`{label}: "true"`' in documented
    assert 'gcloud run services update pix-score --image="$IMAGE" --breakglass=' in documented


def test_the_policy_takes_attestations_of_the_key_that_signs_and_nothing_else(bootstrapped: dict[str, Any]) -> None:
    policy = bootstrapped["google_binary_authorization_policy.images"]
    (rule,) = policy["default_admission_rule"]
    attestor = bootstrapped["google_binary_authorization_attestor.images"]
    assert rule == {
        "evaluation_mode": "REQUIRE_ATTESTATION",
        "enforcement_mode": "ENFORCED_BLOCK_AND_AUDIT_LOG",
        "require_attestations_by": [attestor["name"]],
    }
    assert policy["admission_whitelist_patterns"] == []
    (note,) = attestor["attestation_authority_note"]
    assert note["note_reference"] == bootstrapped["google_container_analysis_note.images"]["name"]
    key = bootstrapped["google_kms_crypto_key.images"]
    (public,) = note["public_keys"]
    assert public["id"] == f"//cloudkms.googleapis.com/v1/{key['id']}/cryptoKeyVersions/{NAMES[3]}"
    assert public["pkix_public_key"][0]["signature_algorithm"] == key["version_template"][0]["algorithm"]
    assert (attestor["name"], key["name"]) == (NAMES[1], NAMES[1])
    assert bootstrapped["google_kms_key_ring.pix"]["name"] == NAMES[2]


def test_images_can_be_audited_only_and_the_organisation_can_require_the_policy(
    terraform: str, tmp_path: Path, bootstrapped: dict[str, Any]
) -> None:
    given = {
        "environment": "staging",
        "project_id": "p",
        "image_admission": "audited",
        "image_key_versions": [1, 2],
        "require_admission": True,
        "admitted_images": ["gcr.io/gke-release/*"],
    }
    audited = evaluate(terraform, tmp_path, given, "bootstrap")
    policy = audited["google_binary_authorization_policy.images"]
    assert policy["default_admission_rule"][0]["enforcement_mode"] == "DRYRUN_AUDIT_LOG_ONLY"
    assert policy["admission_whitelist_patterns"] == [{"name_pattern": "gcr.io/gke-release/*"}]
    (note,) = audited["google_binary_authorization_attestor.images"]["attestation_authority_note"]
    assert [each["id"][-1] for each in note["public_keys"]] == ["1", "2"]
    (required,) = audited["google_org_policy_policy.admission"]
    assert required["name"] == "projects/p/policies/run.allowedBinaryAuthorizationPolicies"
    assert required["spec"][0]["rules"][0]["values"][0]["allowed_values"] == ["default"]
    assert bootstrapped["google_org_policy_policy.admission"] == []


@pytest.mark.parametrize(
    "refused", [{"image_admission": "any"}, {"admitted_images": ["*"]}, {"image_key_versions": []}], ids=str
)
def test_no_variable_admits_every_image(terraform: str, tmp_path: Path, refused: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        evaluate(terraform, tmp_path, {"environment": "staging", "project_id": "p", **refused}, "bootstrap")
