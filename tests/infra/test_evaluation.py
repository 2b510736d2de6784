"""Terraform, asked to evaluate the whole configuration, gives what the code expects."""

import json
import re
import shutil
from typing import Any

import pytest
from redis.asyncio.connection import parse_url

from infra.stage import FUNCTIONS
from shared.adapters.valkey_history import server_url
from shared.contract import tables
from shared.contract.events_file import FEEDBACK, TRANSACTIONS
from shared.settings import Settings
from tests.infra.evaluation import Refused, evaluate

KEY = "projects/keys/locations/southamerica-east1/keyRings/pix/cryptoKeys/pix"
OTHERWISE = {
    "billing_account": None,
    "kms_key": KEY,
    "notification_channels": ["projects/p/notificationChannels/1"],
    "settings": {"PIX_BATCH_MAX": "512"},
    "topic_retention": "86400s",
}


@pytest.fixture(scope="module")
def terraform() -> str:
    found = shutil.which("terraform")
    if not found:
        pytest.skip("terraform is not installed, so its expressions are only parsed")
    return found


@pytest.fixture(scope="module")
def deployed(terraform, tmp_path_factory) -> dict[str, Any]:
    return evaluate(terraform, tmp_path_factory.mktemp("example"), {})


@pytest.fixture(scope="module")
def deployed_otherwise(terraform, tmp_path_factory) -> dict[str, Any]:
    return evaluate(terraform, tmp_path_factory.mktemp("otherwise"), OTHERWISE)


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "from Secret Manager") for each in container["env"]}


def _container(deployed: dict[str, Any], name: str) -> dict[str, Any]:
    return deployed["google_cloud_run_v2_service.functions"][name]["template"][0]["containers"][0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_starts_with_the_environment_that_it_is_given(deployed, name):
    settings = Settings.from_env(_environment(_container(deployed, name)))
    assert (settings.project, settings.dataset, settings.hmac_key_version) == ("my-bank-pix-staging", "pix", 7)
    assert settings.bucket == deployed["google_storage_bucket.buckets"]["models"]["name"]
    assert bool(settings.hmac_key) == (name == "score")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_store_of_history_is_the_primary_by_tls_with_the_mounted_authority(deployed, name):
    container = _container(deployed, name)
    address = parse_url(server_url(_environment(container)["PIX_STATE"]))
    assert (address["host"], address["port"], address["ssl_check_hostname"]) == ("10.64.0.3", 6379, False)
    (volume,) = deployed["google_cloud_run_v2_service.functions"][name]["template"][0]["volumes"]
    (mount,) = container["volume_mounts"]
    assert address["ssl_ca_certs"] == f"{mount['mount_path']}/{volume['secret'][0]['items'][0]['path']}"
    assert deployed["google_secret_manager_secret_version.valkey_ca"]["secret_data"] == "first\nsecond"


def test_settings_that_are_given_reach_functions_and_jobs(deployed_otherwise):
    (task,) = deployed_otherwise["google_cloud_run_v2_job.jobs"]["retrain"]["template"][0]["template"]
    for container in (_container(deployed_otherwise, "score"), task["containers"][0]):
        assert Settings.from_env(_environment(container)).batch_max == 512


@pytest.mark.parametrize(("topic", "function"), [(TRANSACTIONS, "score"), (FEEDBACK, "label")])
def test_each_topic_is_pushed_to_its_function_and_its_dead_letters_are_kept(deployed, topic, function):
    push = deployed["google_pubsub_subscription.push"][topic]
    uri = deployed["google_cloud_run_v2_service.functions"][function]["uri"]
    (config,) = push["push_config"]
    assert (config["push_endpoint"], config["oidc_token"][0]["audience"]) == (uri, uri)
    dead = deployed["google_pubsub_topic.dead"][topic]["id"]
    assert push["dead_letter_policy"][0]["dead_letter_topic"] == dead
    kept = deployed["google_pubsub_subscription.dead"][topic]
    assert kept["topic"] == dead
    assert [each["expiration_policy"] for each in (push, kept)] == [[{"ttl": ""}]] * 2


@pytest.mark.parametrize("view", tables.views("my-bank-pix-staging", "pix", 87.0), ids=lambda view: view.name)
def test_a_view_reads_as_the_code_has_it(deployed, view):
    found = deployed["google_bigquery_table.views"][view.name]
    assert found["view"][0]["query"] == view.sql
    assert found["description"] == view.description


@pytest.mark.parametrize("table", tables.tables(), ids=lambda table: table.name)
def test_a_table_has_the_columns_and_layout_of_its_file(deployed, table):
    found = deployed["google_bigquery_table.tables"][table.name]
    columns = [{name: getattr(column, name) for name in column.__struct_fields__} for column in table.schema]
    assert json.loads(found["schema"]) == columns
    assert (found["time_partitioning"][0]["field"], found["clustering"]) == (table.partition_field, table.clustering)


def test_alerts_and_charts_are_of_metrics_that_are_made(deployed):
    made = {metric["name"] for metric in deployed["google_logging_metric.lines"].values()}
    filters = [
        condition["condition_threshold"][0]["filter"]
        for policy in deployed["google_monitoring_alert_policy.metrics"].values()
        for condition in policy["conditions"]
    ]
    page = json.loads(deployed["google_monitoring_dashboard.pix"]["dashboard_json"])
    used = set(re.findall(r"logging\.googleapis\.com/user/([\w/]+)", "".join(filters) + json.dumps(page)))
    assert used
    assert used <= made


def test_every_alert_reaches_somebody_and_says_what_to_do(deployed):
    policies = [
        policy
        for kind in ("metrics", "watches")
        for policy in deployed[f"google_monitoring_alert_policy.{kind}"].values()
    ]
    for policy in policies:
        assert policy["notification_channels"], policy["display_name"]
        assert len(policy["documentation"][0]["content"]) > 40, policy["display_name"]


def test_tiles_of_the_dashboard_do_not_overlap(deployed):
    layout = json.loads(deployed["google_monitoring_dashboard.pix"]["dashboard_json"])["mosaicLayout"]
    taken = [(tile["xPos"], tile["yPos"]) for tile in layout["tiles"]]
    assert len(set(taken)) == len(taken)
    assert all(tile["xPos"] + tile["width"] <= layout["columns"] for tile in layout["tiles"])


def test_a_given_key_encrypts_whatever_can_be_encrypted_with_one(deployed_otherwise):
    for address in (
        "google_artifact_registry_repository.images",
        "google_bigquery_dataset.pix",
        "google_bigquery_table.tables",
        "google_cloud_run_v2_job.jobs",
        "google_cloud_run_v2_service.functions",
        "google_cloud_run_v2_service.mlflow",
        "google_memorystore_instance.history",
        "google_pubsub_topic.dead",
        "google_pubsub_topic.topics",
        "google_secret_manager_secret.secrets",
        "google_sql_database_instance.mlflow",
        "google_storage_bucket.buckets",
    ):
        assert KEY in json.dumps(deployed_otherwise[address]), address


def test_there_is_a_budget_where_a_billing_account_is_given(deployed, deployed_otherwise):
    assert len(deployed["google_billing_budget.pix"]) == 1
    assert not deployed_otherwise["google_billing_budget.pix"]


def test_what_would_be_unsafe_is_refused(terraform, tmp_path):
    by_tag = "southamerica-east1-docker.pkg.dev/p/pix/score:latest"
    unsafe = {
        "function_images": {"label": by_tag, "score": by_tag},
        "jobs_image": "southamerica-east1-docker.pkg.dev/p/pix/jobs:latest",
        "partition_expiry_days": {"score_events": 30},
        "publishers": {"pix-transactions": ["allUsers"]},
        "settings": {"PIX_HMAC_KEY": "x"},
    }
    with pytest.raises(Refused) as refused:
        evaluate(terraform, tmp_path, unsafe)
    said = re.sub(r"\s*│?\s+", " ", str(refused.value))
    for reason in (
        "functions by their digests",
        "jobs by its digest",
        "more than 180 days",
        "Nothing here is public",
        "Only the settings listed",
    ):
        assert reason in said
