"""Each part has exactly the roles of this list, and nothing is public."""

import re
from collections import defaultdict

import yaml

from shared.contract import tables
from tests.infra.configuration import FOLDER, PARTS, Configuration, arguments, plain, references, texts
from tests.infra.grants import ALLOWED, CLUSTER, GIVEN, GRANTS, IAP, PUBSUB, TRANSFERS, granted

TERRAFORM, BOOTSTRAP = Configuration.read(), Configuration.read("bootstrap")


def test_each_part_has_exactly_its_listed_roles() -> None:
    found = defaultdict(set)
    for block in GRANTS:
        for part, role in granted(block):
            found[part].add(role)
    assert dict(found) == ALLOWED


def test_every_account_is_listed() -> None:
    accounts = yaml.safe_load((FOLDER / "parts.yaml").read_text("utf-8"))
    assert set(accounts) == set(ALLOWED) - {IAP, PUBSUB, TRANSFERS, CLUSTER, GIVEN}


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
    assert roles == {
        "roles/bigquery.jobUser",
        "roles/dataproc.serverlessEditor",
        "roles/dataproc.worker",
        "roles/memorystore.dbConnectionUser",
        "roles/telemetry.metricsWriter",
    }


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


def test_only_the_training_and_what_moves_the_pointer_may_sign_and_write_models() -> None:
    signs = {plain(part) for part in BOOTSTRAP.local("signers")}
    assert signs == {plain(part) for part in TERRAFORM.local("signers")}
    assert not any("cloudkms" in role for granted in ALLOWED.values() for role in granted)
    writes = {
        part for part, granted in ALLOWED.items() if "roles/storage.objectUser on storage_bucket models" in granted
    }
    assert signs == writes == {"challenge", "compare", "probation", "retrain"}
    signed = str(TERRAFORM.resource("google_cloud_run_v2_job", "jobs")).count("PIX_MODEL_SIGNER")
    trained = str(TERRAFORM.local("spark_batches")).count("PIX_MODEL_SIGNER")  # test_spark.py: only of the training
    assert (signed, trained, str(TERRAFORM.blocks).count("PIX_MODEL_SIGNER")) == (1, 1, 2)
    assert "contains(local.signers, each.key) ? { PIX_MODEL_SIGNER" in (FOLDER / "jobs.tf").read_text("utf-8")


def test_the_retirement_can_create_nothing() -> None:
    role = BOOTSTRAP.resource("google_project_iam_custom_role", "delete")
    assert [plain(each) for each in role["permissions"]] == [
        f"storage.objects.{verb}" for verb in ("delete", "get", "list")
    ]
    assert plain(role["role_id"]) in plain(TERRAFORM.local("delete_role"))


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
