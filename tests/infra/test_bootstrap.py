"""Bootstrap grants exactly the roles of this list, and its perimeter and private pool exist only by choice."""

import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.stage import ROOT
from tests.infra.configuration import Configuration, plain
from tests.infra.evaluation import Refused, evaluate
from tests.infra.matching import match
from tests.infra.test_deployment_rights import NEEDED
from tests.infra.variables import IMAGES

BOOTSTRAP = Configuration.read("bootstrap")
EVERYTHING = {
    "access_policy": "7",
    "billing_account": "000000-000000-000000",
    "build_network": "projects/1/global/networks/builds",
    "environment": "staging",
    "github_repository_id": "42",
    "image_readers": ["serviceAccount:reader"],
    "kubernetes": True,
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
    "spark": True,
    "state_bucket": "state",
}
RUNS_AS = ("service_account", "service_account_email", "service_account_name")
AGENTS = "agents of Google's services"
SIGNERS = ("challenge", "compare", "probation", "retrain")
ATTESTS = {
    "roles/binaryauthorization.attestorsVerifier on binary_authorization_attestor",
    "roles/cloudkms.signerVerifier on kms_crypto_key",
    "roles/containeranalysis.notes.attacher on container_analysis_note",
    "roles/containeranalysis.notes.occurrences.viewer on container_analysis_note",
    "roles/containeranalysis.occurrences.editor on project",
    "roles/logging.logWriter on project",
    "roles/storage.objectViewer on storage_bucket",
}
GRANTED = {
    "deploy": {
        *(f"{role} on project" for role in NEEDED),
        "roles/artifactregistry.reader on artifact_registry_repository",
        "roles/billing.costsManager on billing_account",
        "roles/cloudkms.publicKeyViewer on kms_crypto_key",
        "roles/cloudkms.viewer on kms_crypto_key",
        "roles/iam.serviceAccountAdmin on service_account",
        "roles/iam.serviceAccountUser on service_account",
        "roles/resourcemanager.projectIamAdmin on project",
    },
    "builders.attest": {
        *ATTESTS,
        "roles/artifactregistry.reader on artifact_registry_repository",
        "roles/cloudbuild.builds.viewer on project",
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
    **{f"parts.{part}": {"roles/cloudkms.signer on kms_crypto_key"} for part in SIGNERS},
    "parts.schedule": {"roles/iam.serviceAccountUser on service_account"},
    "a cluster": {"roles/iam.workloadIdentityUser on service_account"},
    "serviceAccount:reader": {
        "roles/artifactregistry.reader on artifact_registry_repository",
        "roles/cloudbuild.builds.viewer on project",
    },
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


IN_PRODUCTION = {
    **{account: roles for account, roles in GRANTED.items() if account not in ("builders.build", "builders.test")},
    "builders.attest": {
        *ATTESTS,
        "roles/artifactregistry.writer on artifact_registry_repository",
        "roles/ondemandscanning.admin on project",
    },
}
"""Production builds nothing, and copies what it attests."""


@pytest.fixture(scope="module")
def production(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    given = {**EVERYTHING, "environment": "production"}
    return evaluate(terraform, tmp_path_factory.mktemp("production"), given, "bootstrap")


@pytest.fixture(scope="module")
def everything(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return evaluate(terraform, tmp_path_factory.mktemp("everything"), EVERYTHING, "bootstrap")


def _account(member: str) -> str:
    if member.startswith("principalSet:"):
        return "jobs of the repository"
    if ".svc.id.goog[" in member:
        return "a cluster"
    if member.startswith("serviceAccount:") and "@" in member:
        return AGENTS
    return member.removeprefix("google_service_account/").partition("/")[0] if "/" in member else member


def _instances(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return value
    return [value] if "member" in value else list(value.values())


@pytest.mark.parametrize(("environment", "granted"), [("everything", GRANTED), ("production", IN_PRODUCTION)])
def test_each_account_has_exactly_its_listed_roles(
    request: pytest.FixtureRequest, environment: str, granted: dict[str, set[str]]
) -> None:
    found = defaultdict(set)
    for address, value in request.getfixturevalue(environment).items():
        kind = address.partition(".")[0].removeprefix("google_")
        if kind.endswith("_iam_member"):
            for each in _instances(value):
                found[_account(each["member"])].add(f"{each['role']} on {kind.removesuffix('_iam_member')}")
    assert dict(found) == granted


def _grants(made: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the grants on resources of a kind."""
    found = [value for address, value in made.items() if address.startswith(f"google_{kind}_iam_member.")]
    return [each for value in found for each in _instances(value)]


def test_one_account_attests_and_neither_the_deployment_nor_a_part_can_act_as_it(
    everything: dict[str, Any], production: dict[str, Any]
) -> None:
    for made in (everything, production):
        key = made["google_kms_crypto_key.images"]["id"]
        signing = [each for each in _grants(made, "kms_crypto_key") if each["crypto_key_id"] == key]
        assert {_account(each["member"]) for each in signing} == {"builders.attest"}
        acting = _grants(made, "service_account")
        for name in made["google_service_account.builders"]:
            account = f"google_service_account/builders.{name}/name"
            of_builder = [each["member"] for each in acting if each["service_account_id"] == account]
            assert [_account(member) for member in of_builder] == ["github"]


def test_only_the_build_pushes_to_staging_and_only_what_attests_to_production(
    everything: dict[str, Any], production: dict[str, Any]
) -> None:
    reader, writer = (f"roles/artifactregistry.{role}" for role in ("reader", "writer"))
    for made, pushes in ((everything, "builders.build"), (production, "builders.attest")):
        granted = _grants(made, "artifact_registry_repository")
        assert {each["role"] for each in granted} == {reader, writer}
        assert [_account(each["member"]) for each in granted if each["role"] == writer] == [pushes]
        assert made["google_artifact_registry_repository.images"]["docker_config"][0]["immutable_tags"] is True


def test_the_deployment_can_neither_use_nor_grant_the_key_that_signs_models(everything: dict[str, Any]) -> None:
    key = everything["google_kms_crypto_key.models"]
    reads, signs = (everything[f"google_kms_crypto_key_iam_member.{name}"] for name in ("deploy_reads", "signers"))
    assert {each["role"] for each in reads.values()} == {"roles/cloudkms.publicKeyViewer", "roles/cloudkms.viewer"}
    assert {part: (each["member"], each["role"]) for part, each in signs.items()} == {
        part: (f"google_service_account/parts.{part}/member", "roles/cloudkms.signer") for part in SIGNERS
    }
    assert {each["crypto_key_id"] for each in (*reads.values(), *signs.values())} == {key["id"]}
    assert everything["google_kms_crypto_key.images"]["id"] != key["id"]
    assert not [address for address in everything if "kms_key_ring_iam" in address]
    assert not [block.address for block in Configuration.read().of("resource") if "kms" in block.labels[0]]
    ring, path = everything["google_kms_key_ring.models"], plain(Configuration.read().local("model_key"))
    assert key["key_ring"] == ring["id"]
    assert path.endswith(f"/keyRings/{ring['name']}/cryptoKeys/{key['name']}")
    (stored_key,) = everything["google_kms_crypto_key.pix"]
    for other in (stored_key, everything["google_kms_crypto_key.images"]):
        assert other["key_ring"] == everything["google_kms_key_ring.pix"]["id"]


def _run_as(value: Any) -> set[str]:
    """Return the parts as whose accounts Terraform lets something run."""
    if isinstance(value, list):
        return {part for each in value for part in _run_as(each)}
    if not isinstance(value, dict):
        return set()
    names = [each for name, each in value.items() if name in RUNS_AS and isinstance(each, str)]
    found = {match(r"^pix-(\w+)@", each)[1] for each in names if each.startswith("pix-")}
    return found | {part for each in value.values() for part in _run_as(each)}


def test_the_deployment_runs_parts_as_their_accounts_and_can_change_none_of_them(
    everything: dict[str, Any],
    deployed: dict[str, Any],
    deployed_otherwise: dict[str, Any],
    terraform: str,
    tmp_path: Path,
) -> None:
    deployments = (
        deployed,
        deployed_otherwise,
        evaluate(terraform, tmp_path, {**IMAGES, "desk_domain": "desk.my-bank.example"}),
    )
    parts = set(everything["google_service_account.parts"])
    runs = everything["google_service_account_iam_member.deploy_runs"]
    assert set(runs) == parts - {"batch"} == {part for each in deployments for part in _run_as(each)}
    assert {each["role"] for each in runs.values()} == {"roles/iam.serviceAccountUser"}
    lends = everything["google_service_account_iam_member.deploy_lends"]
    lent = Configuration.read().resources("google_service_account_iam_member")
    assert {f'local.accounts["{part}"].name' for part in lends} == {
        plain(block.body["service_account_id"])[2:-1] for block in lent
    }
    assert not set(lends) & set(SIGNERS)
    granted = {each["role"] for each in everything["google_project_iam_member.deploy"].values()}
    assert not [role for role in granted if role.startswith("roles/iam.")]
    assert not Configuration.read().resources("google_service_account")


def test_the_deployment_cannot_touch_the_bucket_of_the_state_of_bootstrap(
    terraform: str, tmp_path: Path, everything: dict[str, Any]
) -> None:
    conditions = {
        role: grant["condition"][0]["expression"]
        for role, grant in everything["google_project_iam_member.deploy"].items()
        if grant["condition"]
    }
    assert set(conditions) == {"roles/storage.admin"}
    readme = (ROOT / "infra" / "README.md").read_text("utf-8")
    assert '-backend-config="bucket=$PROJECT-pix-bootstrap"' in readme
    own = f"projects/_/buckets/{EVERYTHING['project_id']}-pix-bootstrap"
    reached = {
        own: False,
        f"{own}/objects/bootstrap/default.tfstate": False,
        f"{own}2": True,
        "projects/_/buckets/": True,
    }
    for name, allowed in reached.items():
        asked = conditions["roles/storage.admin"].replace("!resource.name.startsWith('", f"!startswith('{name}', '")
        asked = asked.replace("resource.name", f"'{name}'").replace("'", '"')
        done = subprocess.run(
            [terraform, "console"], input=asked, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(allowed).lower(), name


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
