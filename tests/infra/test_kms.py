"""One key for everything stored: made, renewed and granted in bootstrap, and used by every resource that can."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.infra.configuration import Configuration, texts
from tests.infra.evaluation import Refused, evaluate
from tests.infra.provider_schema import stored
from tests.infra.variables import KEY

TERRAFORM = Configuration.read()
NOT_STORING = {
    "google_bigquery_data_transfer_config.watches",
    "google_bigquery_table.views",
    "google_cloudbuild_trigger.pipeline",
}
"""Scheduled queries and triggers hold no rows, and views none but materialised ones, which have the dataset's key."""
AGENT_OF = {
    "google_artifact_registry_repository": "artifact_registry",
    "google_bigquery_dataset": "bigquery",
    "google_bigquery_table": "bigquery",
    "google_cloud_run_v2_job": "cloud_run",
    "google_cloud_run_v2_service": "cloud_run",
    "google_cloud_run_v2_worker_pool": "cloud_run",
    "google_memorystore_instance": "memorystore",
    "google_pubsub_topic": "pubsub",
    "google_secret_manager_secret": "secret_manager",
    "google_sql_database_instance": "cloud_sql",
    "google_storage_bucket": "storage",
    "google_storage_bucket_object": "storage",
}
"""The service whose agent uses the key of a resource."""


def _takes_a_key(value: object) -> bool:
    return bool(re.search(r"kms_key|encryption_key", str(value)))


@pytest.fixture(scope="module")
def keyed(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    given = {"environment": "staging", "project_id": "p", "make_kms_key": True}
    return evaluate(terraform, tmp_path_factory.mktemp("keyed"), given, "bootstrap")


def test_every_resource_that_can_have_the_key_has_it() -> None:
    for block in (*TERRAFORM.of("resource"), *Configuration.read("bootstrap").of("resource")):
        kind = stored().kinds[f"resource.{block.labels[0]}"]
        if _takes_a_key(kind.arguments) and block.address not in NOT_STORING and "kms" not in block.labels[0]:
            assert any(re.search(r"(var|local)\.kms_key", text) for text in texts(block.body)), block.address
            assert block.labels[0] in AGENT_OF


def test_the_key_is_renewed_kept_and_used_by_the_agent_of_each_service(keyed: dict[str, Any]) -> None:
    (key,) = keyed["google_kms_crypto_key.pix"]
    assert key["rotation_period"] == f"{90 * 86_400}s"
    body = Configuration.read("bootstrap").resource("google_kms_crypto_key", "pix")
    assert body["lifecycle"][0]["prevent_destroy"] is True
    grants = keyed["google_kms_crypto_key_iam_member.agents"]
    assert set(grants) == set(AGENT_OF.values())
    assert {each["role"] for each in grants.values()} == {"roles/cloudkms.cryptoKeyEncrypterDecrypter"}
    assert keyed["google_artifact_registry_repository.images"]["kms_key_name"] == key["id"]


def test_without_the_choice_there_is_no_key(bootstrapped: dict[str, Any]) -> None:
    assert not bootstrapped["google_kms_crypto_key.pix"]
    assert not bootstrapped["google_kms_crypto_key_iam_member.agents"]
    assert bootstrapped["google_artifact_registry_repository.images"]["kms_key_name"] is None


def test_a_key_of_others_excludes_one_of_ours(terraform: str, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        evaluate(terraform, tmp_path, {"make_kms_key": True, "kms_key": KEY}, "bootstrap")
