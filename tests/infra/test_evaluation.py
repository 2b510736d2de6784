"""The configuration as Terraform evaluates it matches the code."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import parse_url

from infra.deploy.smoke import QUESTION
from infra.deploy.stage import FUNCTIONS
from shared.adapters.valkey.clients import server_url
from shared.adapters.valkey.credentials import credentials_of
from shared.contract import tables
from shared.contract.tables import TableSpec, ViewSpec
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.scoring.signature import public_keys
from shared.serving.http.decide_api import DECISIONS
from shared.settings import Settings
from tests.infra.evaluation import Refused, evaluate
from tests.infra.matching import match
from tests.infra.variables import IMAGES, KEY, OTHERWISE


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "a value that is in Secret Manager") for each in container["env"]}


def _container(deployed: dict[str, Any], name: str) -> dict[str, Any]:
    container: dict[str, Any] = deployed["google_cloud_run_v2_service.functions"][name]["template"][0]["containers"][
        0
    ]
    return container


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_settings_load_from_its_environment(deployed: dict[str, Any], name: str) -> None:
    settings = Settings.from_env(_environment(_container(deployed, name)))
    assert (settings.project, settings.dataset, settings.hmac_key_version) == ("my-bank-pix-staging", "pix", 7)
    buckets = deployed["google_storage_bucket.buckets"]
    assert (settings.bucket, settings.data_bucket) == (buckets["models"]["name"], buckets["data"]["name"])
    assert settings.hmac_key
    assert len(public_keys(settings.model_keys)) == 1
    assert not settings.model_signer


def test_each_version_of_the_key_is_believed_and_the_last_signs(terraform: str, tmp_path: Path) -> None:
    deployed = evaluate(terraform, tmp_path, OTHERWISE | {"model_key_versions": [1, 3]})
    jobs = deployed["google_cloud_run_v2_job.jobs"]
    given = {name: _environment(job["template"][0]["template"][0]["containers"][0]) for name, job in jobs.items()}
    assert len(public_keys(given["retrain"]["PIX_MODEL_KEYS"])) == 2
    signers = {name for name, each in given.items() if "PIX_MODEL_SIGNER" in each}
    assert signers == {"challenge", "compare", "probation", "retrain"}
    versions = deployed["data.google_kms_crypto_key_version.models"]
    assert set(versions) == {"1", "3"}
    assert given["retrain"]["PIX_MODEL_SIGNER"] == f"{versions['3']['crypto_key']}/cryptoKeyVersions/3"


@pytest.mark.parametrize("next_version", [None, 2])
def test_the_next_key_is_given_while_it_is_set(terraform: str, tmp_path: Path, next_version: int | None) -> None:
    deployed = evaluate(terraform, tmp_path, OTHERWISE | {"hmac_key_next_version": next_version})
    versions = deployed["google_secret_manager_secret_version.hmac_keys"]
    assert {key: each["secret_data_wo_version"] for key, each in versions.items()} == {
        str(version): version for version in (1, next_version) if version
    }
    parts = [_environment(_container(deployed, name)) for name in FUNCTIONS]
    jobs = deployed["google_cloud_run_v2_job.jobs"]
    parts += [
        _environment(jobs[name]["template"][0]["template"][0]["containers"][0])
        for name in ("repair", "replay", "skew", "snapshot")
    ]
    assert "PIX_HMAC_KEY" not in _environment(jobs["operate"]["template"][0]["template"][0]["containers"][0])
    for each in parts:
        assert "PIX_HMAC_KEY" in each
        assert ("PIX_HMAC_KEY_NEXT" in each) == (next_version is not None)


def test_only_the_bucket_of_rows_deletes_for_good(deployed: dict[str, Any]) -> None:
    kept = {
        name: (bucket["versioning"][0]["enabled"], bucket["soft_delete_policy"][0]["retention_duration_seconds"])
        for name, bucket in deployed["google_storage_bucket.buckets"].items()
    }
    assert kept == {"data": (False, 0), "mlflow": (True, 7 * 86_400), "models": (True, 7 * 86_400)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_history_address_is_the_primary_with_the_mounted_ca(deployed: dict[str, Any], name: str) -> None:
    container = _container(deployed, name)
    address: Mapping[str, Any] = parse_url(server_url(_environment(container)["PIX_STATE"]))
    assert (address["host"], address["port"], address["ssl_check_hostname"]) == ("10.64.4.3", 6379, False)
    (volume,) = deployed["google_cloud_run_v2_service.functions"][name]["template"][0]["volumes"]
    (mount,) = container["volume_mounts"]
    assert address["ssl_ca_certs"] == f"{mount['mount_path']}/{volume['secret'][0]['items'][0]['path']}"
    assert deployed["google_secret_manager_secret_version.valkey_ca"]["secret_data"] == "first\nsecond"


def test_with_iam_the_clients_of_the_store_send_tokens_and_may_connect(
    deployed: dict[str, Any], deployed_otherwise: dict[str, Any]
) -> None:
    for of, mode, told in ((deployed, "AUTH_DISABLED", False), (deployed_otherwise, "IAM_AUTH", True)):
        assert of["google_memorystore_instance.history"]["authorization_mode"] == mode
        url, tokens = credentials_of(server_url(_environment(_container(of, "score"))["PIX_STATE"]))
        assert (tokens is not None) == told
        assert "ssl_exclude_verify_flags=" in url
        assert parse_url(url)["port"] == 6379
        granted = set(of["google_project_iam_member.valkey"] or {})
        assert granted == ({*FUNCTIONS, "console", "repair", "replay"} if told else set())


def test_settings_reach_functions_and_jobs(deployed_otherwise: dict[str, Any]) -> None:
    (task,) = deployed_otherwise["google_cloud_run_v2_job.jobs"]["retrain"]["template"][0]["template"]
    for container in (_container(deployed_otherwise, "score"), task["containers"][0]):
        assert Settings.from_env(_environment(container)).batch_max == 512


@pytest.mark.parametrize(("topic", "function"), [(TRANSACTIONS, "score"), (OUTCOMES, "outcome"), (FEEDBACK, "label")])
def test_topic_pushes_to_its_function_and_keeps_dead_letters(
    deployed: dict[str, Any], topic: str, function: str
) -> None:
    push = deployed["google_pubsub_subscription.functions"][topic]
    uri = deployed["google_cloud_run_v2_service.functions"][function]["uri"]
    (config,) = push["push_config"]
    assert (config["push_endpoint"], config["oidc_token"][0]["audience"]) == (uri, uri)
    dead = deployed["google_pubsub_topic.dead"][topic]["id"]
    assert push["dead_letter_policy"][0]["dead_letter_topic"] == dead
    kept = deployed["google_pubsub_subscription.dead"][topic]
    assert kept["topic"] == dead
    assert [each["expiration_policy"] for each in (push, kept)] == [[{"ttl": ""}]] * 2


@pytest.mark.parametrize(("topic", "function"), [(TRANSACTIONS, "score"), (OUTCOMES, "outcome"), (FEEDBACK, "label")])
def test_a_worker_pulls_in_place_of_pushes(
    deployed: dict[str, Any], deployed_otherwise: dict[str, Any], topic: str, function: str
) -> None:
    subscription = deployed_otherwise["google_pubsub_subscription.functions"][topic]
    before = deployed["google_pubsub_subscription.functions"][topic]
    assert (subscription["name"], subscription["push_config"]) == (before["name"], [])
    assert subscription["retry_policy"] == before["retry_policy"]
    (template,) = deployed_otherwise["google_cloud_run_v2_worker_pool.workers"][function]["template"]
    (container,), served = template["containers"], _container(deployed_otherwise, function)
    assert container["image"] == served["image"]
    assert _environment(container) == _environment(served)
    assert container["args"][-1] == "pull.py"
    assert not deployed.get("google_cloud_run_v2_worker_pool.workers")


@pytest.mark.parametrize(
    ("topic", "function", "path"),
    [
        (TRANSACTIONS, "score", ""),
        (OUTCOMES, "outcome", ""),
        (FEEDBACK, "label", ""),
        (QUESTION.topic, "decide", DECISIONS),
    ],
)
def test_smoke_subscription_reaches_the_tagged_revision(
    deployed: dict[str, Any], topic: str, function: str, path: str
) -> None:
    smoke = deployed["google_pubsub_subscription.smoke"][topic]
    uri = deployed["google_cloud_run_v2_service.functions"][function]["uri"]
    assert smoke["topic"] == deployed["google_pubsub_topic.smoke"][topic]["id"]
    (config,) = smoke["push_config"]
    assert config["oidc_token"][0]["audience"] == uri
    assert config["push_endpoint"] == uri.replace("https://", "https://candidate---") + path
    assert config["no_wrapper"] == ([{"write_metadata": False}] if path else [])


def test_functions_and_jobs_know_whether_outcomes_are_published(
    deployed: dict[str, Any], deployed_otherwise: dict[str, Any]
) -> None:
    for of, outcomes in ((deployed, "published"), (deployed_otherwise, "assumed")):
        (task,) = of["google_cloud_run_v2_job.jobs"]["replay"]["template"][0]["template"]
        containers = [task["containers"][0], *(_container(of, name) for name in ("score", "outcome"))]
        assert {Settings.from_env(_environment(container)).outcomes for container in containers} == {outcomes}


def test_missing_outcomes_are_watched_only_if_published(
    deployed: dict[str, Any], deployed_otherwise: dict[str, Any]
) -> None:
    watched = [
        "outcomes" in of["google_bigquery_data_transfer_config.watches"] for of in (deployed, deployed_otherwise)
    ]
    assert watched == [True, False]


@pytest.mark.parametrize("view", tables.views("my-bank-pix-staging", "pix", 87.0), ids=lambda view: view.name)
def test_view_matches_the_code(deployed: dict[str, Any], view: ViewSpec) -> None:
    kind = ("materialized", "materialized_view") if view.name in tables.MATERIALIZED else ("views", "view")
    found = deployed[f"google_bigquery_table.{kind[0]}"][view.name]
    assert found[kind[1]][0]["query"] == view.sql
    assert found["description"] == view.description


def test_each_sql_file_is_a_view(deployed: dict[str, Any]) -> None:
    stored = deployed["google_bigquery_table.materialized"]
    assert set(deployed["google_bigquery_table.views"]) | set(stored) == set(tables.VIEWS)
    assert {name: each["clustering"] for name, each in stored.items()} == {
        name: [column, tables.table("score_events").partition_field] for name, column in tables.MATERIALIZED.items()
    }


@pytest.mark.parametrize("table", tables.tables(), ids=lambda table: table.name)
def test_table_matches_its_schema_file(deployed: dict[str, Any], table: TableSpec) -> None:
    found = deployed["google_bigquery_table.tables"][table.name]
    columns = [{name: getattr(column, name) for name in column.__struct_fields__} for column in table.schema]
    assert json.loads(found["schema"]) == columns
    assert (found["time_partitioning"][0]["field"], found["clustering"]) == (table.partition_field, table.clustering)


def test_kms_key_encrypts_every_resource_that_takes_one(deployed_otherwise: dict[str, Any]) -> None:
    for address in (
        "google_bigquery_dataset.pix",
        "google_bigquery_table.materialized",
        "google_bigquery_table.tables",
        "google_cloud_run_v2_job.jobs",
        "google_cloud_run_v2_service.functions",
        "google_cloud_run_v2_service.mlflow",
        "google_memorystore_instance.history",
        "google_pubsub_topic.dead",
        "google_pubsub_topic.smoke",
        "google_pubsub_topic.topics",
        "google_secret_manager_secret.secrets",
        "google_sql_database_instance.mlflow",
        "google_storage_bucket.buckets",
    ):
        assert KEY in json.dumps(deployed_otherwise[address]), address


def test_budget_exists_only_with_a_billing_account(
    deployed: dict[str, Any], deployed_otherwise: dict[str, Any]
) -> None:
    assert len(deployed["google_billing_budget.pix"]) == 1
    assert not deployed_otherwise["google_billing_budget.pix"]


def test_builds_and_deployment_have_one_registry(bootstrapped: dict[str, Any]) -> None:
    images = bootstrapped["google_artifact_registry_repository.images"]
    assert (images["repository_id"], images["location"]) == ("pix", "southamerica-east1")
    builders = bootstrapped["google_artifact_registry_repository_iam_member.builders"]
    deployment = bootstrapped["google_artifact_registry_repository_iam_member.deploy"]
    assert {each["repository"] for each in (*builders.values(), deployment)} == {images["name"]}


def test_deployment_may_grant_exactly_the_project_roles(
    deployed_otherwise: dict[str, Any], bootstrapped: dict[str, Any]
) -> None:
    grants = [
        grant
        for address, instances in deployed_otherwise.items()
        if address.startswith("google_project_iam_member.")
        for grant in ([instances] if "role" in instances else instances.values())
    ]
    (condition,) = bootstrapped["google_project_iam_member.deploy_grants"]["condition"]
    allowed = match(r"hasOnly\((.*)\)$", condition["expression"])[1]
    assert set(json.loads(allowed)) == {grant["role"] for grant in grants}


@pytest.mark.parametrize(
    ("environment", "ref"),
    [("staging", "assertion.ref == 'refs/heads/main'"), ("production", "assertion.ref.startsWith('refs/tags/v')")],
)
def test_github_may_start_the_pipeline_from_one_repository_and_ref(
    terraform: str, tmp_path: Path, environment: str, ref: str
) -> None:
    given = {"environment": environment, "github_repository_id": "42", "state_bucket": "state"}
    made = evaluate(terraform, tmp_path, given, "bootstrap")
    (provider,) = made["google_iam_workload_identity_pool_provider.github"]
    assert provider["attribute_condition"].split(" && ") == [
        "assertion.repository_id == '42'",
        f"assertion.environment == '{environment}'",
        ref,
    ]
    (member,) = made["google_service_account_iam_member.github"]
    assert member["member"].endswith("/attribute.repository_id/42")
    (source,) = made["google_storage_bucket_iam_member.github_source"]
    assert source["condition"][0]["expression"] == (
        "resource.name.startsWith('projects/_/buckets/state/objects/source/')"
    )


def test_without_a_repository_github_may_nothing(bootstrapped: dict[str, Any]) -> None:
    made = {address: value for address, value in bootstrapped.items() if ".github" in address}
    assert len(made) == 8, sorted(made)
    assert not any(made.values())


@pytest.mark.parametrize("number", ["my-bank/pix", ""])
def test_github_repository_is_named_by_its_number(terraform: str, tmp_path: Path, number: str) -> None:
    with pytest.raises(Refused) as refused:
        evaluate(terraform, tmp_path, {"github_repository_id": number, "state_bucket": "state"}, "bootstrap")
    assert "names of repositories can be taken over" in re.sub(r"\s*│?\s+", " ", str(refused.value))


def test_append_role_is_the_one_from_bootstrap(deployed: dict[str, Any], bootstrapped: dict[str, Any]) -> None:
    role = bootstrapped["google_project_iam_custom_role.append"]["role_id"]
    granted = {each["role"] for each in deployed["google_bigquery_table_iam_member.append"].values()}
    assert granted == {f"projects/my-bank-pix-staging/roles/{role}"}


def test_unsafe_variables_are_refused(terraform: str, tmp_path: Path) -> None:
    by_tag = "southamerica-east1-docker.pkg.dev/p/pix/score:latest"
    unsafe = {
        "function_images": dict.fromkeys(FUNCTIONS, by_tag),
        "desk_image": "southamerica-east1-docker.pkg.dev/p/pix/console:latest",
        "jobs_image": "southamerica-east1-docker.pkg.dev/p/pix/jobs:latest",
        "partition_expiry_days": {"score_events": 30},
        "publishers": {"pix-transactions": ["allUsers"]},
        "settings": {"PIX_HMAC_KEY": "x"},
        "feed": "both",
    }
    with pytest.raises(Refused) as refused:
        evaluate(terraform, tmp_path, unsafe)
    message = re.sub(r"\s*│?\s+", " ", str(refused.value))
    for reason in (
        "functions by their digests",
        "the desk by its digest",
        "jobs by its digest",
        "older than 180 days",
        "No topic may be public",
        "Only the settings listed",
        "feed must be push, pull, kubernetes or spark",
    ):
        assert reason in message


def test_published_outcomes_need_a_publisher(terraform: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        evaluate(terraform, tmp_path, {**IMAGES, "outcomes": "published", "publishers": {}})
    assert "name the publisher of pix-outcomes" in re.sub(r"\s*│?\s+", " ", str(refused.value))
