"""Bootstrap grants exactly the roles of this list, and its perimeter and private pool exist only by choice."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.infra.configuration import Configuration
from tests.infra.evaluation import Refused, evaluate
from tests.infra.test_deployment_rights import NEEDED

BOOTSTRAP = Configuration.read("bootstrap")
EVERYTHING = {
    "access_policy": "7",
    "billing_account": "000000-000000-000000",
    "build_network": "projects/1/global/networks/builds",
    "environment": "staging",
    "github_repository_id": "42",
    "image_readers": ["serviceAccount:reader"],
    "make_kms_key": True,
    "perimeter_egress": {
        "registry": {
            "identities": ["serviceAccount:deploy"],
            "projects": ["projects/2"],
            "services": ["artifactregistry.googleapis.com"],
        }
    },
    "perimeter_ingress": {
        "publishers": {"identities": ["serviceAccount:spi"], "services": ["pubsub.googleapis.com"]},
        "queries": {"identities": ["user:a"], "services": ["bigquery.googleapis.com", "storage.googleapis.com"]},
    },
    "project_id": "p",
    "state_bucket": "state",
}
AGENTS = "agents of Google's services"
GRANTED = {
    "deploy": {
        *(f"{role} on project" for role in NEEDED),
        "roles/artifactregistry.writer on artifact_registry_repository",
        "roles/billing.costsManager on billing_account",
        "roles/binaryauthorization.attestorsVerifier on binary_authorization_attestor",
        "roles/cloudkms.admin on kms_key_ring",
        "roles/cloudkms.publicKeyViewer on kms_key_ring",
        "roles/cloudkms.signerVerifier on kms_crypto_key",
        "roles/containeranalysis.notes.attacher on container_analysis_note",
        "roles/containeranalysis.notes.occurrences.viewer on container_analysis_note",
        "roles/resourcemanager.projectIamAdmin on project",
    },
    "builders.build": {
        "roles/artifactregistry.writer on artifact_registry_repository",
        "roles/logging.logWriter on project",
        "roles/ondemandscanning.admin on project",
        "roles/storage.objectViewer on storage_bucket",
    },
    "builders.test": {"roles/logging.logWriter on project", "roles/storage.objectViewer on storage_bucket"},
    "github": {
        "roles/cloudbuild.builds.editor on project",
        "roles/iam.serviceAccountUser on service_account",
        "roles/serviceusage.serviceUsageConsumer on project",
        "roles/storage.legacyBucketReader on storage_bucket",
        "roles/storage.objectUser on storage_bucket",
    },
    "serviceAccount:reader": {"roles/artifactregistry.reader on artifact_registry_repository"},
    "jobs of the repository": {"roles/iam.workloadIdentityUser on service_account"},
    AGENTS: {"roles/cloudkms.cryptoKeyEncrypterDecrypter on kms_crypto_key"},
}
"""The roles of each account, by the kind of resource; conditions are tested beside what they are for."""
UNRESTRICTED = {
    *("accesscontextmanager", "billingbudgets", "cloudbilling", "cloudresourcemanager", "orgpolicy", "serviceusage"),
    *("bigquerystorage", "cloudscheduler", "compute", "containerscanning", "iam", "iamcredentials", "iap"),
    *("networkconnectivity", "servicenetworking", "sts", "telemetry"),
}
"""APIs that hold nothing but configuration, or belong to one that is restricted (bigquerystorage)."""


@pytest.fixture(scope="module")
def everything(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return evaluate(terraform, tmp_path_factory.mktemp("everything"), EVERYTHING, "bootstrap")


def _account(member: str) -> str:
    if member.startswith("principalSet:"):
        return "jobs of the repository"
    if member.startswith("serviceAccount:") and "@" in member:
        return AGENTS
    return member.removeprefix("google_service_account/").partition("/")[0] if "/" in member else member


def _instances(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return value
    return [value] if "member" in value else list(value.values())


def test_each_account_has_exactly_its_listed_roles(everything: dict[str, Any]) -> None:
    found = defaultdict(set)
    for address, value in everything.items():
        kind = address.partition(".")[0].removeprefix("google_")
        if kind.endswith("_iam_member"):
            for each in _instances(value):
                found[_account(each["member"])].add(f"{each['role']} on {kind.removesuffix('_iam_member')}")
    assert dict(found) == GRANTED


def test_the_deployment_administers_the_ring_of_the_key_that_signs_models_alone(everything: dict[str, Any]) -> None:
    grants = everything["google_kms_key_ring_iam_member.deploy"].values()
    assert {each["key_ring_id"] for each in grants} == {everything["google_kms_key_ring.models"]["id"]}
    ring = Configuration.read().resource("google_kms_crypto_key", "models")["key_ring"]
    assert ring.endswith(f'/keyRings/{everything["google_kms_key_ring.models"]["name"]}"')
    (stored_key,) = everything["google_kms_crypto_key.pix"]
    for key in (stored_key, everything["google_kms_crypto_key.images"]):
        assert key["key_ring"] == everything["google_kms_key_ring.pix"]["id"]
    made = {block.address for block in Configuration.read().of("resource") if "kms" in block.labels[0]}
    assert made == {"google_kms_crypto_key.models", "google_kms_crypto_key_iam_member.signers"}


def test_by_default_there_is_neither_a_perimeter_nor_a_pool(bootstrapped: dict[str, Any]) -> None:
    assert bootstrapped["google_access_context_manager_service_perimeter.pix"] == []
    assert bootstrapped["google_cloudbuild_worker_pool.pix"] == []


def test_the_perimeter_reports_first_and_then_refuses_the_same(
    everything: dict[str, Any], terraform: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("enforced")
    enforced = evaluate(terraform, folder, {**EVERYTHING, "perimeter_enforced": True}, "bootstrap")
    dry, real = (each["google_access_context_manager_service_perimeter.pix"][0] for each in (everything, enforced))
    assert (dry["use_explicit_dry_run_spec"], real["use_explicit_dry_run_spec"]) == (True, False)
    assert (dry["status"], real["spec"]) == ([], [])
    assert dry["spec"] == real["status"]
    (rules,) = dry["spec"]
    assert rules["resources"] == ["projects/data/google_project/this/number"]
    ingress = {rule["title"]: rule for rule in rules["ingress_policies"]}
    assert set(ingress) == {"publishers", "queries"}
    assert ingress["publishers"]["ingress_from"][0]["identities"] == ["serviceAccount:spi"]
    operations = ingress["queries"]["ingress_to"][0]["operations"]
    assert [each["service_name"] for each in operations] == ["bigquery.googleapis.com", "storage.googleapis.com"]
    (egress,) = rules["egress_policies"]
    assert egress["egress_to"][0]["resources"] == ["projects/2"]
    assert egress["egress_from"][0]["identities"] == ["serviceAccount:deploy"]


def test_the_perimeter_restricts_every_service_that_holds_something(everything: dict[str, Any]) -> None:
    (perimeter,) = everything["google_access_context_manager_service_perimeter.pix"]
    restricted = {name.removesuffix(".googleapis.com") for name in perimeter["spec"][0]["restricted_services"]}
    enabled = {name.removesuffix(".googleapis.com") for name in everything["google_project_service.apis"]}
    assert enabled - restricted == UNRESTRICTED
    assert not restricted - enabled


@pytest.mark.parametrize("rule", [{"identities": [], "services": ["a"]}, {"identities": ["user:a"], "services": []}])
def test_no_rule_of_the_perimeter_is_for_everybody(terraform: str, tmp_path: Path, rule: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        evaluate(terraform, tmp_path, {**EVERYTHING, "perimeter_ingress": {"all": rule}}, "bootstrap")


def test_builds_of_the_pool_have_no_address_of_the_internet(everything: dict[str, Any]) -> None:
    (pool,) = everything["google_cloudbuild_worker_pool.pix"]
    assert pool["worker_config"][0]["no_external_ip"] is True
    assert pool["network_config"][0]["peered_network"] == EVERYTHING["build_network"]
    assert pool["name"] == "pix", "infra/deploy/pool.sh names it"
