"""The roles that each part may have, and the grants of the configuration by part."""

import re
from collections.abc import Iterator
from typing import Any

from tests.infra.configuration import Block, Configuration, arguments, plain
from tests.infra.matching import match

TERRAFORM = Configuration.read()
APPEND, DELETE = "local.append_role", "local.delete_role"
IAP, PUBSUB, TRANSFERS = "IAP's agent", "Pub/Sub's agent", "agent of BigQuery's transfers"
GIVEN = "members named by a variable"
CLUSTER = "service accounts in a cluster of Kubernetes"
ON_KUBERNETES = (
    *("challenge", "compare", "console", "decide", "drift", "expire", "label", "monitor", "operate", "outcome"),
    *("probation", "repair", "replay", "retire", "retrain", "score", "skew", "snapshot"),
)
"""Parts that run in a cluster, each as a service account of its own."""

# Roles by part, each with the resource of its grant.
ALLOWED = {
    "batch": {
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/dataproc.worker on project",
        "roles/storage.objectUser on storage_bucket data",
        "roles/storage.objectViewer on storage_bucket models",
    },
    "challenge": {
        "roles/bigquery.dataViewer on bigquery_table feedback",
        "roles/bigquery.dataViewer on bigquery_table model_ledger",
        "roles/bigquery.dataViewer on bigquery_table score_events",
        "roles/bigquery.jobUser on project",
        "roles/storage.objectUser on storage_bucket models",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "compare": {
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/run.invoker on cloud_run_v2_service mlflow",
        "roles/storage.objectUser on storage_bucket data",
        "roles/storage.objectUser on storage_bucket models",
        f"{APPEND} on bigquery_table health",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "console": {
        "roles/memorystore.dbConnectionUser on project",
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic topics",
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/secretmanager.secretAccessor on secret_manager_secret valkey_ca",
        f"{APPEND} on bigquery_table reviews",
    },
    "decide": {
        "roles/memorystore.dbConnectionUser on project",
        "roles/bigquery.dataViewer on bigquery_table score_events",
        "roles/bigquery.dataViewer on bigquery_table suspicions",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic decisions",
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/secretmanager.secretAccessor on secret_manager_secret valkey_ca",
        "roles/storage.objectViewer on storage_bucket models",
        "roles/telemetry.metricsWriter on project",
        f"{APPEND} on bigquery_table quarantine",
        f"{APPEND} on bigquery_table score_events",
    },
    "drift": {
        f"{APPEND} on bigquery_table health",
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/storage.objectUser on storage_bucket data",
        "roles/storage.objectViewer on storage_bucket models",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "expire": {
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic decisions",
        "roles/storage.objectUser on storage_bucket data",
    },
    "label": {
        "roles/dataproc.worker on project",
        "roles/storage.objectUser on storage_bucket data",
        "roles/memorystore.dbConnectionUser on project",
        "roles/bigquery.dataViewer on bigquery_table feedback",
        "roles/bigquery.dataViewer on bigquery_table outcomes",
        "roles/bigquery.dataViewer on bigquery_table score_events",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic decisions",
        "roles/pubsub.subscriber on pubsub_subscription functions",
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/secretmanager.secretAccessor on secret_manager_secret valkey_ca",
        "roles/telemetry.metricsWriter on project",
        f"{APPEND} on bigquery_table feedback",
        f"{APPEND} on bigquery_table quarantine",
    },
    "mlflow": {
        "roles/secretmanager.secretAccessor on secret_manager_secret mlflow_password",
        "roles/storage.objectViewer on storage_bucket mlflow",
    },
    "monitor": {
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/storage.objectUser on storage_bucket data",
        "roles/storage.objectViewer on storage_bucket models",
        f"{APPEND} on bigquery_table health",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "operate": {
        "roles/bigquery.dataViewer on bigquery_table model_ledger",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic topics",
        "roles/pubsub.subscriber on pubsub_subscription dead",
        "roles/run.invoker on cloud_run_v2_service mlflow",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "outcome": {
        "roles/dataproc.worker on project",
        "roles/storage.objectUser on storage_bucket data",
        "roles/memorystore.dbConnectionUser on project",
        "roles/bigquery.dataViewer on bigquery_table score_events",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic decisions",
        "roles/pubsub.subscriber on pubsub_subscription functions",
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/secretmanager.secretAccessor on secret_manager_secret valkey_ca",
        "roles/telemetry.metricsWriter on project",
        f"{APPEND} on bigquery_table late_outcomes",
        f"{APPEND} on bigquery_table outcomes",
        f"{APPEND} on bigquery_table quarantine",
    },
    "probation": {
        "roles/bigquery.dataViewer on bigquery_table model_ledger",
        "roles/bigquery.dataViewer on bigquery_table score_events",
        "roles/bigquery.jobUser on project",
        "roles/run.invoker on cloud_run_v2_service mlflow",
        "roles/storage.objectUser on storage_bucket models",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "push": {"roles/run.invoker on cloud_run_v2_service functions"},
    "repair": {
        "roles/memorystore.dbConnectionUser on project",
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic decisions",
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/secretmanager.secretAccessor on secret_manager_secret valkey_ca",
        "roles/storage.objectUser on storage_bucket data",
        "roles/storage.objectViewer on storage_bucket data",
        f"{APPEND} on bigquery_table feedback",
        f"{APPEND} on bigquery_table fills",
        f"{APPEND} on bigquery_table late_outcomes",
        f"{APPEND} on bigquery_table lost_places",
        f"{APPEND} on bigquery_table outcomes",
        f"{APPEND} on bigquery_table quarantine",
    },
    "replay": {
        "roles/memorystore.dbConnectionUser on project",
        "roles/bigquery.dataEditor on bigquery_table feedback",
        "roles/bigquery.dataEditor on bigquery_table fills",
        "roles/bigquery.dataEditor on bigquery_table outcomes",
        "roles/bigquery.dataEditor on bigquery_table reviews",
        "roles/bigquery.dataEditor on bigquery_table score_events",
        "roles/bigquery.dataEditor on bigquery_table suspicions",
        "roles/bigquery.dataEditor on bigquery_table training_sample",
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic decisions",
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/secretmanager.secretAccessor on secret_manager_secret valkey_ca",
        "roles/storage.objectUser on storage_bucket data",
        f"{APPEND} on bigquery_table late_outcomes",
        f"{APPEND} on bigquery_table lost_places",
    },
    "retire": {
        "roles/bigquery.dataViewer on bigquery_table model_ledger",
        "roles/bigquery.jobUser on project",
        f"{DELETE} on storage_bucket models",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "retrain": {
        "roles/dataproc.worker on project",
        "roles/bigquery.dataEditor on bigquery_table training_sample",
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/run.invoker on cloud_run_v2_service mlflow",
        "roles/storage.objectUser on storage_bucket data",
        "roles/storage.objectUser on storage_bucket mlflow",
        "roles/storage.objectUser on storage_bucket models",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "schedule": {"roles/dataproc.serverlessEditor on project", "roles/run.invoker on cloud_run_v2_job jobs"},
    "score": {
        "roles/dataproc.worker on project",
        "roles/storage.objectUser on storage_bucket data",
        "roles/memorystore.dbConnectionUser on project",
        "roles/bigquery.dataViewer on bigquery_table score_events",
        "roles/bigquery.dataViewer on bigquery_table suspicions",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.subscriber on pubsub_subscription functions",
        "roles/pubsub.publisher on pubsub_topic decisions",
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/secretmanager.secretAccessor on secret_manager_secret valkey_ca",
        "roles/storage.objectViewer on storage_bucket models",
        "roles/telemetry.metricsWriter on project",
        f"{APPEND} on bigquery_table quarantine",
        f"{APPEND} on bigquery_table score_events",
    },
    "skew": {
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/storage.objectUser on storage_bucket data",
        "roles/storage.objectViewer on storage_bucket data",
        f"{APPEND} on bigquery_table model_ledger",
    },
    "snapshot": {
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/storage.objectUser on storage_bucket data",
    },
    "watch": {
        "roles/bigquery.dataViewer on bigquery_table model_ledger",
        "roles/bigquery.dataViewer on bigquery_table outcomes",
        "roles/bigquery.dataViewer on bigquery_table quarantine",
        "roles/bigquery.dataViewer on bigquery_table quarantined",
        "roles/bigquery.dataViewer on bigquery_table score_events",
        "roles/bigquery.jobUser on project",
    },
    IAP: {"roles/run.invoker on cloud_run_v2_service desk"},
    PUBSUB: {
        "roles/iam.serviceAccountTokenCreator on service_account push",
        "roles/pubsub.publisher on pubsub_topic dead",
        "roles/pubsub.subscriber on pubsub_subscription functions",
    },
    CLUSTER: {
        "roles/secretmanager.secretAccessor on secret_manager_secret hmac_key",
        "roles/secretmanager.secretAccessor on secret_manager_secret valkey_ca",
    },
    TRANSFERS: {"roles/iam.serviceAccountTokenCreator on service_account watch"},
    GIVEN: {
        "roles/bigquery.dataViewer on bigquery_dataset pix",
        "roles/bigquery.jobUser on project",
        "roles/iap.httpsResourceAccessor on iap_web_backend_service desk",
        "roles/pubsub.publisher on pubsub_topic topics",
        "roles/pubsub.subscriber on pubsub_topic decisions",
        "roles/run.invoker on cloud_run_v2_service functions",
        "roles/run.invoker on cloud_run_v2_service mlflow",
    },
}
# Arguments that name the resource of a grant; a grant without any is on the project.
RESOURCE_ARGUMENTS = (
    "bucket",
    "name",
    "secret_id",
    "service_account_id",
    "subscription",
    "table_id",
    "topic",
    "dataset_id",
    "web_backend_service",
)
GRANTS = [block for block in TERRAFORM.of("resource") if block.labels[0].endswith("_iam_member")]


def granted(block: Block) -> Iterator[tuple[str, str]]:
    """Yield (part, role with resource) of each instance of a grant."""
    kind = block.labels[0].removeprefix("google_").removesuffix("_iam_member")
    for key, value in _instances(block.body.get("for_each")):
        member = _member(plain(block.body["member"]), key, value)
        role = plain(block.body["role"])
        if role.startswith("${each.value"):
            role = plain(value["role"] if isinstance(value, dict) else value)
        yield member, f"{role.removeprefix('${').removesuffix('}')} on {kind}{_resource(block, key, value)}"


def _resource(block: Block, instance: str, value: Any) -> str:
    """Return the resource of a grant: its key if it has one in the code, otherwise its Terraform name."""
    text = next((plain(block.body[name]) for name in RESOURCE_ARGUMENTS if name in block.body), None)
    if text is None:
        return ""
    name, index = match(r"^\$\{(?:google_\w+|local)\.(\w+)(?:\[([^\]]+)\])?\.\w+\}$", text).groups()
    if index is None or name not in ("accounts", "buckets", "secrets", "tables", "views"):
        return f" {name}"
    if index == "each.key":
        return f" {instance}"
    return f" {plain(value[index.rpartition('.')[2]]) if index.startswith('each.value.') else plain(index)}"


def _instances(for_each: Any) -> list[tuple[str, Any]]:
    """Return (key, value) of each instance; instances from a variable have the key GIVEN."""
    if for_each is None:
        return [("", None)]
    if for_each == "${local.pulled}":
        return list(arguments(TERRAFORM.local("topics")).items())
    if isinstance(for_each, dict):
        return [(name, each) for name, each in arguments(for_each).items()]
    keys = re.findall(r'"([\w.-]+)"', "".join(re.findall(r"(?:toset\(|for part in )(\[[^\]]*\])", for_each)))
    if "local.jobs" in for_each:
        jobs = arguments(TERRAFORM.local("jobs"))
        keys += [name for name, job in jobs.items() if isinstance(job, dict) and job["schedule"] is not None]
    if for_each in ("${local.topics}", "${local.fed}", "${local.functions}"):
        keys += arguments(TERRAFORM.local(for_each[8:-1].replace("fed", "functions")))
    instances = [(key, None) for key in keys]
    from_variables = re.search(r"var\.\w+|local\.publishers", for_each)
    assert keys or from_variables, f"unknown form of for_each: {for_each}"
    return instances + ([(GIVEN, None)] if from_variables else [])


def _member(member: str, key: str, value: Any) -> str:
    agents = {"${local.agents.iap}": IAP, "${local.agents.pubsub}": PUBSUB, "${local.agents.transfers}": TRANSFERS}
    if member in agents:
        return agents[member]
    if "${local.identities}" in member:
        return CLUSTER
    if found := re.fullmatch(r'\$\{local\.accounts\["(\w+)"\]\.member\}', member):
        return found[1]
    if member == "${local.accounts[each.value.part].member}":
        part: str = plain(value["part"])
        return part
    if member == "${local.accounts[each.value.function].member}":
        function: str = plain(value["function"])
        return function
    assert member in (
        "${local.accounts[each.key].member}",
        "${each.key}",
        "${each.value}",
        "${each.value.member}",
    ), member
    return key
