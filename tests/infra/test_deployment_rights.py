"""The deployment has exactly the roles and APIs that its commands and resources need."""

import re

from tests.infra.configuration import Configuration, arguments, plain, references
from tests.infra.pipeline import scripts

TERRAFORM, BOOTSTRAP = Configuration.read(), Configuration.read("bootstrap")

# Reasons for each role of the deployment: resources that Terraform makes, and commands of the scripts.
NEEDED = {
    "roles/bigquery.admin": r"google_bigquery_|-m infra\S*\.(migrate|smoke)",
    "roles/cloudbuild.builds.viewer": r"gcloud builds (describe|list)",
    "roles/cloudscheduler.admin": r"google_cloud_scheduler_",
    "roles/cloudsql.admin": r"google_sql_",
    "roles/compute.loadBalancerAdmin": r"google_compute_(backend_service|url_map|target_https_proxy"
    r"|global_forwarding_rule|managed_ssl_certificate|ssl_policy|region_network_endpoint_group)",
    "roles/compute.networkAdmin": r"google_compute_(network|subnetwork|global_address)|google_service_networking_",
    "roles/compute.securityAdmin": r"google_compute_firewall",
    "roles/containeranalysis.occurrences.viewer": r"gcloud artifacts docker images describe",
    "roles/iap.admin": r"google_iap_",
    "roles/logging.configWriter": r"google_logging_(metric|project_exclusion)",
    "roles/logging.logWriter": r"CLOUD_LOGGING_ONLY",
    "roles/memorystore.admin": r"google_memorystore_",
    "roles/monitoring.editor": r"google_monitoring_",
    "roles/networkconnectivity.consumerNetworkAdmin": r"google_network_connectivity_",
    "roles/pubsub.admin": r"google_pubsub_|-m infra\S*\.smoke",
    "roles/run.admin": r"google_cloud_run_v2_|gcloud run ",
    "roles/secretmanager.admin": r"google_secret_manager_",
    "roles/serviceusage.serviceUsageConsumer": r"user_project_override",
    "roles/storage.admin": r"google_storage_|gcloud storage |storage\.googleapis\.com|backend gcs",
}
# Covered by other grants in bootstrap: on the project with a condition, on registry, keys, accounts, billing account.
ELSEWHERE = (
    r"google_project_iam_(member|audit_config)|google_service_account_iam_member"
    r"|data google_project|google_billing_budget|random_password"
    r"|gcloud auth print-access-token|data google_kms_crypto_key_version"
)


def _done() -> set[str]:
    """Return the resource types and cloud commands of a deployment."""
    made = {block.labels[0] for block in TERRAFORM.of("resource", "ephemeral")}
    read = {f"data {block.labels[0]}" for block in TERRAFORM.of("data")}
    return made | read | _called("pix-deploy") | {"user_project_override", "CLOUD_LOGGING_ONLY", "backend gcs"}


def _called(account: str, *without: str) -> set[str]:
    """Return the cloud commands in the builds of an account."""
    text = re.sub(r"#.*", "", scripts(account, *without))
    return set(re.findall(r"\b(?:gcloud(?: [a-z][a-z-]*)+|docker push|crane [a-z]+)", text))


def test_deployment_has_exactly_the_roles_that_it_needs() -> None:
    granted = set(arguments(BOOTSTRAP.local("deploy_roles")))
    assert {plain(role) for role in granted} == set(NEEDED)
    done = _done()
    assert not [role for role, why in NEEDED.items() if not any(re.search(why, each) for each in done)]
    unmet = [each for each in done if not any(re.search(why, each) for why in (*NEEDED.values(), ELSEWHERE))]
    assert not unmet


def test_what_attests_calls_exactly_the_commands_that_its_roles_are_for() -> None:
    attesting = {
        "gcloud artifacts docker images describe",
        "gcloud beta container binauthz attestations sign-and-create",
        "gcloud builds list",
        "gcloud container binauthz attestations list",
    }
    copying = {
        "crane copy",
        "crane digest",
        "gcloud artifacts docker images list-vulnerabilities",
        "gcloud artifacts docker images scan",
    }
    assert _called("pix-attest", "infra/deploy/cloudbuild.promote.yaml") == attesting
    assert _called("pix-attest") == attesting | copying


def test_the_deployment_neither_attests_nor_pushes_nor_starts_a_build() -> None:
    called = _called("pix-deploy")
    assert not [each for each in called if re.search(r"binauthz|docker push|^crane|builds submit|triggers", each)]
    assert {each for each in called if "builds" in each} == {"gcloud builds describe", "gcloud builds list"}


def test_deployment_cannot_change_roles_or_apis() -> None:
    granted = {plain(role) for role in arguments(BOOTSTRAP.local("deploy_roles"))}
    assert not granted & {
        "roles/owner",
        "roles/editor",
        "roles/cloudbuild.builds.editor",
        "roles/iam.roleAdmin",
        "roles/iam.serviceAccountAdmin",
        "roles/iam.serviceAccountTokenCreator",
        "roles/iam.serviceAccountUser",
        "roles/serviceusage.serviceUsageAdmin",
    }
    assert not [role for role in granted if role.startswith("roles/resourcemanager.")]
    made = {block.labels[0] for block in TERRAFORM.of("resource")}
    assert not made & {"google_project_iam_custom_role", "google_project_service"}


# API by prefix of the resource type.
API_OF = {
    "artifact_registry_": "artifactregistry",
    "access_context_manager_": "accesscontextmanager",
    "bigquery_": "bigquery",
    "bigquery_data_transfer": "bigquerydatatransfer",
    "billing_account_iam": "cloudbilling",
    "billing_budget": "billingbudgets",
    "binary_authorization_": "binaryauthorization",
    "cloud_run_": "run",
    "cloud_scheduler_": "cloudscheduler",
    "cloudbuild_": "cloudbuild",
    "compute_": "compute",
    "container_analysis_": "containeranalysis",
    "iam_": "iam",
    "iap_": "iap",
    "kms_": "cloudkms",
    "logging_": "logging",
    "memorystore_": "memorystore",
    "monitoring_": "monitoring",
    "network_connectivity_": "networkconnectivity",
    "org_policy_": "orgpolicy",
    "project_iam_": "cloudresourcemanager",
    "project_iam_custom_role": "iam",
    "project_service": "serviceusage",
    "pubsub_": "pubsub",
    "secret_manager_": "secretmanager",
    "service_account": "iam",
    "service_networking_": "servicenetworking",
    "sql_": "sqladmin",
    "storage_": "storage",
}


def test_api_of_every_resource_is_enabled() -> None:
    on = set(re.findall(r'"([a-z]+)\.googleapis\.com"', str(BOOTSTRAP.resource("google_project_service", "apis"))))
    assert {"cloudresourcemanager", "iam", "serviceusage", "telemetry", "ondemandscanning"} <= on
    for block in (*TERRAFORM.of("resource"), *BOOTSTRAP.of("resource")):
        kind = block.labels[0].removeprefix("google_")
        if not kind.startswith("random"):
            assert API_OF[max((prefix for prefix in API_OF if kind.startswith(prefix)), key=len)] in on, kind


def test_bootstrap_resources_wait_for_the_apis() -> None:
    made = {block.address: block for block in BOOTSTRAP.of("resource")}
    waits = {"google_project_service.apis"}
    for _ in made:
        waits |= {name for name, block in made.items() if {".".join(r[:2]) for r in references(block.body)} & waits}
    assert waits == set(made)
