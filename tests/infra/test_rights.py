"""Who may do what: each part has the roles of this list and no other, and nothing is public."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.infra.configuration import FOLDER, Block, Configuration, arguments, plain, references, texts

TERRAFORM = Configuration.read()
APPEND = "google_project_iam_custom_role.append"
PUBSUB, TRANSFERS, GIVEN = "Pub/Sub's agent", "BigQuery's agent of transfers", "members named by a variable"

# By part: each role with the kind of resource that it is given on.
ALLOWED = {
    "check": {"roles/logging.logWriter on project"},
    "drift": {
        "roles/bigquery.dataViewer on bigquery_dataset",
        "roles/bigquery.jobUser on project",
        "roles/storage.objectUser on storage_bucket",
        "roles/storage.objectViewer on storage_bucket",
        f"{APPEND} on bigquery_table",
    },
    "label": {
        "roles/bigquery.dataViewer on bigquery_table",
        "roles/bigquery.jobUser on project",
        "roles/monitoring.metricWriter on project",
        "roles/secretmanager.secretAccessor on secret_manager_secret",
        f"{APPEND} on bigquery_table",
    },
    "mlflow": {
        "roles/secretmanager.secretAccessor on secret_manager_secret",
        "roles/storage.objectViewer on storage_bucket",
    },
    "operate": {
        "roles/bigquery.dataEditor on bigquery_table",
        "roles/bigquery.dataViewer on bigquery_dataset",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic",
        "roles/pubsub.subscriber on pubsub_subscription",
        "roles/run.invoker on cloud_run_v2_service",
        "roles/secretmanager.secretAccessor on secret_manager_secret",
        "roles/storage.objectUser on storage_bucket",
        f"{APPEND} on bigquery_table",
    },
    "push": {"roles/run.invoker on cloud_run_v2_service"},
    "retire": {
        "roles/bigquery.dataViewer on bigquery_dataset",
        "roles/bigquery.jobUser on project",
        "roles/storage.objectUser on storage_bucket",
        f"{APPEND} on bigquery_table",
    },
    "retrain": {
        "roles/bigquery.dataViewer on bigquery_dataset",
        "roles/bigquery.jobUser on project",
        "roles/run.invoker on cloud_run_v2_service",
        "roles/storage.objectUser on storage_bucket",
        f"{APPEND} on bigquery_table",
    },
    "schedule": {"roles/run.invoker on cloud_run_v2_job"},
    "score": {
        "roles/monitoring.metricWriter on project",
        "roles/secretmanager.secretAccessor on secret_manager_secret",
        "roles/storage.objectViewer on storage_bucket",
        f"{APPEND} on bigquery_table",
    },
    "watch": {"roles/bigquery.dataViewer on bigquery_dataset", "roles/bigquery.jobUser on project"},
    PUBSUB: {
        "roles/iam.serviceAccountTokenCreator on service_account",
        "roles/pubsub.publisher on pubsub_topic",
        "roles/pubsub.subscriber on pubsub_subscription",
    },
    TRANSFERS: {"roles/iam.serviceAccountTokenCreator on service_account"},
    GIVEN: {
        "roles/artifactregistry.reader on artifact_registry_repository",
        "roles/bigquery.dataViewer on bigquery_dataset",
        "roles/bigquery.jobUser on project",
        "roles/pubsub.publisher on pubsub_topic",
        "roles/run.invoker on cloud_run_v2_service",
    },
}
GRANTS = [block for block in TERRAFORM.of("resource") if block.labels[0].endswith("_iam_member")]


def _granted(block: Block) -> Iterator[tuple[str, str]]:
    """Yield (part, role) of a grant, for each of its instances."""
    kind = block.labels[0].removeprefix("google_").removesuffix("_iam_member")
    for key, value in _instances(block.body.get("for_each")):
        member = _member(plain(block.body["member"]), key, value)
        role = plain(block.body["role"])
        if role.startswith("${each.value"):
            role = plain(value["role"] if isinstance(value, dict) else value)
        yield member, f"{role.removeprefix('${').removesuffix('.name}').removesuffix('}')} on {kind}"


def _instances(for_each: Any) -> list[tuple[str, Any]]:
    """Return key and value of each instance; what a variable adds is the key GIVEN."""
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
    assert keys or from_variables, f"cannot tell the instances of {for_each}"
    return instances + ([(GIVEN, None)] if from_variables else [])


def _member(member: str, key: str, value: Any) -> str:
    agents = {"${local.agents.pubsub}": PUBSUB, "${local.agents.transfers}": TRANSFERS}
    if member in agents:
        return agents[member]
    if found := re.fullmatch(r'\$\{google_service_account\.parts\["(\w+)"\]\.member\}', member):
        return found[1]
    if member == "${google_service_account.parts[each.value.part].member}":
        return plain(value["part"])
    assert member in (
        "${google_service_account.parts[each.key].member}",
        "${each.key}",
        "${each.value}",
        "${each.value.member}",
    ), member
    return key


def test_each_part_has_the_roles_of_the_list_and_no_other():
    granted = defaultdict(set)
    for block in GRANTS:
        for part, role in _granted(block):
            granted[part].add(role)
    assert dict(granted) == ALLOWED


def test_every_account_is_in_the_list():
    accounts = arguments(TERRAFORM.resource("google_service_account", "parts")["for_each"])
    assert set(accounts) == set(ALLOWED) - {PUBSUB, TRANSFERS, GIVEN}


def test_nothing_is_public():
    allowed = TERRAFORM.variable("publishers")["validation"]
    for block in TERRAFORM.blocks:
        body = {name: value for name, value in block.body.items() if value is not allowed}
        assert not [text for text in texts(body) if re.search(r"all(Authenticated)?Users", text)], block.address
    for service in TERRAFORM.resources("google_cloud_run_v2_service"):
        assert "invoker_iam_disabled" not in service.body
    for bucket in TERRAFORM.resources("google_storage_bucket"):
        assert plain(bucket.body["public_access_prevention"]) == "enforced"
        assert bucket.body["uniform_bucket_level_access"] is True


def test_no_grant_replaces_what_others_have_granted_and_no_key_of_an_account_is_made():
    types = {block.labels[0] for block in TERRAFORM.of("resource")}
    assert not [type_ for type_ in types if type_.endswith(("_iam_policy", "_iam_binding"))]
    assert "google_service_account_key" not in types


def test_on_the_project_are_only_roles_that_cannot_be_given_anywhere_smaller():
    roles = {plain(block.body["role"]) for block in TERRAFORM.resources("google_project_iam_member")}
    assert roles == {"roles/bigquery.jobUser", "roles/logging.logWriter", "roles/monitoring.metricWriter"}


def test_no_secret_that_protects_anything_is_in_the_state():
    versions = {block.labels[1]: block.body for block in TERRAFORM.resources("google_secret_manager_secret_version")}
    assert {name for name, body in versions.items() if "secret_data" in body} == {"valkey_ca"}  # a certificate
    for user in TERRAFORM.resources("google_sql_user"):
        assert "password" not in user.body
        assert ("ephemeral", "random_password", "mlflow", "result") in references(user.body["password_wo"])


def test_every_exception_from_checkov_says_why():
    lines = [line for path in FOLDER.glob("*.tf") for line in path.read_text("utf-8").splitlines()]
    skips = [line for line in lines if "checkov:skip" in line]
    assert skips
    for line in skips:
        assert re.fullmatch(r" *#checkov:skip=CKV2?_GCP_\d+:\S.{20,}", line), line
