"""Each part has exactly the roles of this list, and nothing is public."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from infra.deploy.stage import ROOT
from shared.contract import tables
from tests.infra.configuration import FOLDER, PARTS, Block, Configuration, arguments, plain, references, texts
from tests.infra.matching import match

TERRAFORM, BOOTSTRAP = Configuration.read(), Configuration.read("bootstrap")
APPEND = "local.append_role"
PUBSUB, TRANSFERS, GIVEN = "Pub/Sub's agent", "agent of BigQuery's transfers", "members named by a variable"

# Roles by part, each with the resource of its grant.
ALLOWED = {
    "check": {"roles/logging.logWriter on project"},
    "drift": {
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/storage.objectUser on storage_bucket data",
        "roles/storage.objectViewer on storage_bucket models",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "label": {
        "roles/bigquery.dataViewer on bigquery_table score_events",
        "roles/bigquery.jobUser on project",
        "roles/secretmanager.secretAccessor on secret_manager_secret valkey_ca",
        "roles/telemetry.metricsWriter on project",
        f"{APPEND} on bigquery_table feedback",
        f"{APPEND} on bigquery_table quarantine",
    },
    "mlflow": {
        "roles/secretmanager.secretAccessor on secret_manager_secret mlflow_password",
        "roles/storage.objectViewer on storage_bucket mlflow",
    },
    "operate": {
        "roles/bigquery.dataEditor on bigquery_table feedback",
        "roles/bigquery.dataEditor on bigquery_table score_events",
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic topics",
        "roles/pubsub.subscriber on pubsub_subscription dead",
        "roles/run.invoker on cloud_run_v2_service mlflow",
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/secretmanager.secretAccessor on secret_manager_secret valkey_ca",
        "roles/storage.objectUser on storage_bucket data",
        "roles/storage.objectUser on storage_bucket models",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "push": {"roles/run.invoker on cloud_run_v2_service functions"},
    "retire": {
        "roles/bigquery.dataViewer on bigquery_table model_ledger",
        "roles/bigquery.jobUser on project",
        "roles/storage.objectUser on storage_bucket models",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "retrain": {
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/run.invoker on cloud_run_v2_service mlflow",
        "roles/storage.objectUser on storage_bucket data",
        "roles/storage.objectUser on storage_bucket mlflow",
        "roles/storage.objectUser on storage_bucket models",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "schedule": {"roles/run.invoker on cloud_run_v2_job jobs"},
    "score": {
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/secretmanager.secretAccessor on secret_manager_secret valkey_ca",
        "roles/storage.objectViewer on storage_bucket models",
        "roles/telemetry.metricsWriter on project",
        f"{APPEND} on bigquery_table quarantine",
        f"{APPEND} on bigquery_table score_events",
    },
    "watch": {
        "roles/bigquery.dataViewer on bigquery_table model_ledger",
        "roles/bigquery.dataViewer on bigquery_table quarantine",
        "roles/bigquery.dataViewer on bigquery_table quarantined",
        "roles/bigquery.dataViewer on bigquery_table score_events",
        "roles/bigquery.jobUser on project",
    },
    PUBSUB: {
        "roles/iam.serviceAccountTokenCreator on service_account push",
        "roles/pubsub.publisher on pubsub_topic dead",
        "roles/pubsub.subscriber on pubsub_subscription push",
    },
    TRANSFERS: {"roles/iam.serviceAccountTokenCreator on service_account watch"},
    GIVEN: {
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic topics",
        "roles/run.invoker on cloud_run_v2_service mlflow",
    },
}
# Arguments that name the resource of a grant; a grant without any is on the project.
PLACES = ("bucket", "name", "secret_id", "service_account_id", "subscription", "table_id", "topic", "dataset_id")
GRANTS = [block for block in TERRAFORM.of("resource") if block.labels[0].endswith("_iam_member")]


def _granted(block: Block) -> Iterator[tuple[str, str]]:
    """Yield (part, role with resource) of each instance of a grant."""
    kind = block.labels[0].removeprefix("google_").removesuffix("_iam_member")
    for key, value in _instances(block.body.get("for_each")):
        member = _member(plain(block.body["member"]), key, value)
        role = plain(block.body["role"])
        if role.startswith("${each.value"):
            role = plain(value["role"] if isinstance(value, dict) else value)
        yield member, f"{role.removeprefix('${').removesuffix('}')} on {kind}{_place(block, key, value)}"


def _place(block: Block, instance: str, value: Any) -> str:
    """Return the resource of a grant: its key if it has one in the code, otherwise its Terraform name."""
    text = next((plain(block.body[name]) for name in PLACES if name in block.body), None)
    if text is None:
        return ""
    name, index = match(r"^\$\{google_\w+\.(\w+)(?:\[([^\]]+)\])?\.\w+\}$", text).groups()
    if index is None or name not in ("buckets", "parts", "secrets", "tables", "views"):
        return f" {name}"
    if index == "each.key":
        return f" {instance}"
    return f" {plain(value[index.rpartition('.')[2]]) if index.startswith('each.value.') else plain(index)}"


def _instances(for_each: Any) -> list[tuple[str, Any]]:
    """Return (key, value) of each instance; instances from a variable have the key GIVEN."""
    if for_each is None:
        return [("", None)]
    if isinstance(for_each, dict):
        return [(name, each) for name, each in arguments(for_each).items()]
    keys = re.findall(r'"([\w.-]+)"', "".join(re.findall(r"(?:toset\(|for part in )(\[[^\]]*\])", for_each)))
    if "local.jobs" in for_each:
        jobs = arguments(TERRAFORM.local("jobs"))
        keys += [name for name, job in jobs.items() if isinstance(job, dict) and job["schedule"] is not None]
    if for_each in ("${local.topics}", "${local.functions}"):
        keys += arguments(TERRAFORM.local(for_each[8:-1]))
    instances = [(key, None) for key in keys]
    from_variables = re.search(r"var\.\w+|local\.publishers", for_each)
    assert keys or from_variables, f"unknown form of for_each: {for_each}"
    return instances + ([(GIVEN, None)] if from_variables else [])


def _member(member: str, key: str, value: Any) -> str:
    agents = {"${local.agents.pubsub}": PUBSUB, "${local.agents.transfers}": TRANSFERS}
    if member in agents:
        return agents[member]
    if found := re.fullmatch(r'\$\{google_service_account\.parts\["(\w+)"\]\.member\}', member):
        return found[1]
    if member == "${google_service_account.parts[each.value.part].member}":
        part: str = plain(value["part"])
        return part
    assert member in (
        "${google_service_account.parts[each.key].member}",
        "${each.key}",
        "${each.value}",
        "${each.value.member}",
    ), member
    return key


def test_each_part_has_exactly_its_listed_roles() -> None:
    granted = defaultdict(set)
    for block in GRANTS:
        for part, role in _granted(block):
            granted[part].add(role)
    assert dict(granted) == ALLOWED


def test_every_account_is_listed() -> None:
    accounts = arguments(TERRAFORM.resource("google_service_account", "parts")["for_each"])
    assert set(accounts) == set(ALLOWED) - {PUBSUB, TRANSFERS, GIVEN}


def test_nothing_is_public() -> None:
    allowed = TERRAFORM.variable("publishers")["validation"]
    for block in TERRAFORM.blocks:
        body = {name: value for name, value in block.body.items() if value is not allowed}
        assert not [text for text in texts(body) if re.search(r"all(Authenticated)?Users", text)], block.address
    for service in TERRAFORM.resources("google_cloud_run_v2_service"):
        assert "invoker_iam_disabled" not in service.body
    for bucket in TERRAFORM.resources("google_storage_bucket"):
        assert plain(bucket.body["public_access_prevention"]) == "enforced"
        assert bucket.body["uniform_bucket_level_access"] is True


def test_grants_are_additive_and_no_account_has_a_key() -> None:
    types = {block.labels[0] for part in PARTS for block in Configuration.read(part).of("resource")}
    assert not [type_ for type_ in types if type_.endswith(("_iam_policy", "_iam_binding"))]
    assert "google_service_account_key" not in types


def test_project_grants_are_only_roles_without_a_smaller_scope() -> None:
    roles = {plain(block.body["role"]) for block in TERRAFORM.resources("google_project_iam_member")}
    assert roles == {"roles/bigquery.jobUser", "roles/logging.logWriter", "roles/telemetry.metricsWriter"}


def test_only_training_jobs_may_write_artifacts() -> None:
    """MLflow's clients store artifacts themselves, so a training job needs a right on the bucket."""
    writes = {
        part for part, granted in ALLOWED.items() if "roles/storage.objectUser on storage_bucket mlflow" in granted
    }
    trains = {
        name
        for name, job in arguments(TERRAFORM.local("jobs")).items()
        if isinstance(job, dict) and plain(job["arguments"][1]) == "jobs.retrain"
    }
    assert writes == trains


def test_watch_account_reads_only_the_queried_tables() -> None:
    queried = {
        name
        for watch in arguments(TERRAFORM.local("watches")).values()
        if isinstance(watch, dict)
        for name in re.findall(r"`\$\{local\.dataset\}\.(\w+)`", watch["query"])
    }
    behind = {
        name
        for view in tables.views("p", "d", 1.0)
        if view.name in queried
        for name in re.findall(r"`p\.d\.(\w+)`", view.sql)
    }
    assert {f"roles/bigquery.dataViewer on bigquery_table {name}" for name in queried | behind} == ALLOWED[
        "watch"
    ] - {"roles/bigquery.jobUser on project"}


# Reasons for each role of the deployment: resources that Terraform makes, and commands of the scripts.
NEEDED = {
    "roles/bigquery.admin": r"google_bigquery_|-m infra\S*\.(migrate|smoke)",
    "roles/cloudbuild.builds.editor": r"google_cloudbuild_trigger|gcloud builds describe",
    "roles/cloudbuild.connectionViewer": r"google_cloudbuild_trigger",
    "roles/cloudscheduler.admin": r"google_cloud_scheduler_",
    "roles/cloudsql.admin": r"google_sql_",
    "roles/compute.networkAdmin": r"google_compute_(network|subnetwork|global_address)|google_service_networking_",
    "roles/compute.securityAdmin": r"google_compute_firewall",
    "roles/iam.serviceAccountAdmin": r"google_service_account",
    "roles/iam.serviceAccountUser": r"google_cloud_run_v2_(job|service)$|google_cloud_scheduler_",
    "roles/logging.configWriter": r"google_logging_metric",
    "roles/logging.logWriter": r"CLOUD_LOGGING_ONLY",
    "roles/memorystore.admin": r"google_memorystore_",
    "roles/monitoring.editor": r"google_monitoring_",
    "roles/networkconnectivity.consumerNetworkAdmin": r"google_network_connectivity_",
    "roles/ondemandscanning.admin": r"gcloud artifacts docker images (scan|list-vulnerabilities)",
    "roles/pubsub.admin": r"google_pubsub_|-m infra\S*\.smoke",
    "roles/run.admin": r"google_cloud_run_v2_|gcloud run ",
    "roles/secretmanager.admin": r"google_secret_manager_",
    "roles/serviceusage.serviceUsageConsumer": r"user_project_override",
    "roles/storage.admin": r"google_storage_|gcloud storage |storage\.googleapis\.com|backend gcs",
}
# Covered by other grants in bootstrap: on the project with a condition, on the registry, on the billing account.
ELSEWHERE = (
    r"google_project_iam_(member|audit_config)|data google_project|google_billing_budget|random_password"
    r"|gcloud artifacts docker images describe|docker push|crane (copy|tag)|gcloud auth print-access-token"
)


def _done() -> set[str]:
    """Return the resource types and cloud commands of a deployment."""
    made = {block.labels[0] for block in TERRAFORM.of("resource", "ephemeral")}
    read = {f"data {block.labels[0]}" for block in TERRAFORM.of("data")}
    scripts = "".join(path.read_text("utf-8") for path in (ROOT / "infra" / "deploy").glob("*.sh"))
    called = re.findall(
        r"\b(?:gcloud(?: [a-z-]+)+|docker push|crane [a-z]+|-m infra[\w.]+)", re.sub(r"#.*", "", scripts)
    )
    return made | read | set(called) | {"user_project_override", "CLOUD_LOGGING_ONLY", "backend gcs"}


def test_deployment_has_exactly_the_roles_that_it_needs() -> None:
    granted = set(arguments(BOOTSTRAP.local("deploy_roles")))
    assert {plain(role) for role in granted} == set(NEEDED)
    done = _done()
    assert not [role for role, why in NEEDED.items() if not any(re.search(why, each) for each in done)]
    unmet = [each for each in done if not any(re.search(why, each) for why in (*NEEDED.values(), ELSEWHERE))]
    assert not unmet


def test_deployment_cannot_change_roles_or_apis() -> None:
    granted = {plain(role) for role in arguments(BOOTSTRAP.local("deploy_roles"))}
    assert not granted & {
        "roles/owner",
        "roles/editor",
        "roles/iam.roleAdmin",
        "roles/serviceusage.serviceUsageAdmin",
    }
    assert not [role for role in granted if role.startswith("roles/resourcemanager.")]
    made = {block.labels[0] for block in TERRAFORM.of("resource")}
    assert not made & {"google_project_iam_custom_role", "google_project_service"}


# API by prefix of the resource type.
API_OF = {
    "artifact_registry_": "artifactregistry",
    "bigquery_": "bigquery",
    "bigquery_data_transfer": "bigquerydatatransfer",
    "billing_account_iam": "cloudbilling",
    "billing_budget": "billingbudgets",
    "cloud_run_": "run",
    "cloud_scheduler_": "cloudscheduler",
    "cloudbuild_": "cloudbuild",
    "compute_": "compute",
    "logging_": "logging",
    "memorystore_": "memorystore",
    "monitoring_": "monitoring",
    "network_connectivity_": "networkconnectivity",
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


def test_state_holds_no_secret() -> None:
    versions = {block.labels[1]: block.body for block in TERRAFORM.resources("google_secret_manager_secret_version")}
    assert {name for name, body in versions.items() if "secret_data" in body} == {"valkey_ca"}  # a certificate
    for user in TERRAFORM.resources("google_sql_user"):
        assert "password" not in user.body
        assert ("ephemeral", "random_password", "mlflow", "result") in references(user.body["password_wo"])


def test_every_checkov_exception_has_a_reason() -> None:
    lines = [line for path in FOLDER.rglob("*.tf") for line in path.read_text("utf-8").splitlines()]
    skips = [line for line in lines if "checkov:skip" in line]
    assert skips
    for line in skips:
        assert re.fullmatch(r" *#checkov:skip=CKV2?_GCP_\d+:\S.{20,}", line), line
