"""Spark on Dataproc Serverless: batches of the schedule, their accounts and settings, and one stream at a time."""

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.stage import ROOT
from jobs import retrain, stream
from shared.adapters.secret_manager import SCHEME
from shared.scoring.signature import public_keys
from shared.settings import Settings
from tests.infra.configuration import Configuration
from tests.infra.evaluation import Refused, evaluate
from tests.infra.variables import IMAGES, SPARK_IMAGE

STREAMS = {"label", "outcome", "score"}
ENVIRONMENT = "spark.dataproc.driverEnv."
SHORTEST, LONGEST = 600, 14 * 86_400
"""Limits of Dataproc for the time of a batch, in seconds."""


@pytest.fixture(scope="module")
def streaming(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    given = {**IMAGES, "feed": "spark", "spark_image": SPARK_IMAGE}
    return evaluate(terraform, tmp_path_factory.mktemp("streaming"), given)


def batch(job: dict[str, Any]) -> dict[str, Any]:
    """Return the batch that a schedule creates."""
    (target,) = job["http_target"]
    assert target["http_method"] == "POST"
    found: dict[str, Any] = json.loads(base64.b64decode(target["body"]))
    return found


def environment(job: dict[str, Any]) -> dict[str, str]:
    """Return the environment of its driver."""
    given = batch(job)["runtimeConfig"]["properties"]
    return {name.removeprefix(ENVIRONMENT): value for name, value in given.items() if name.startswith(ENVIRONMENT)}


def test_without_the_choice_nothing_of_spark_is_scheduled(deployed: dict[str, Any]) -> None:
    for name in ("google_cloud_scheduler_job.spark", "google_cloud_scheduler_job.ended_streams"):
        assert not deployed[name]
    assert set(deployed["google_project_iam_member.spark"]) == {"batch"}
    assert not deployed["google_project_iam_member.spark_schedule"]
    assert not deployed["google_storage_bucket_iam_member.streams"]


def test_streams_do_the_work_of_the_functions_as_their_accounts(streaming: dict[str, Any]) -> None:
    jobs = streaming["google_cloud_scheduler_job.spark"]
    assert set(jobs) == {f"stream-{name}" for name in STREAMS}
    for name in STREAMS:
        found = batch(jobs[f"stream-{name}"])
        assert found["environmentConfig"]["executionConfig"]["serviceAccount"].startswith(f"pix-{name}@")
        assert found["runtimeConfig"]["containerImage"] == SPARK_IMAGE
        options = stream._parser().parse_args(found["pysparkBatch"]["args"])
        assert (options.function, options.kafka) == (name, None)
        assert options.checkpoint == f"gs://my-bank-pix-staging-pix-data/streams/{name}"
    assert not streaming["google_cloud_run_v2_worker_pool.workers"]
    assert all(not each["push_config"] for each in streaming["google_pubsub_subscription.functions"].values())


def test_a_stream_that_has_ended_starts_again_and_two_never_run(streaming: dict[str, Any]) -> None:
    """Dataproc refuses a second batch of a name, and to delete one that runs."""
    for name in STREAMS:
        started = streaming["google_cloud_scheduler_job.spark"][f"stream-{name}"]
        removed = streaming["google_cloud_scheduler_job.ended_streams"][name]
        assert started["schedule"] == removed["schedule"] == "* * * * *"
        (create,), (delete,) = started["http_target"], removed["http_target"]
        folder, _, identity = create["uri"].partition("?batchId=")
        assert (delete["http_method"], delete["uri"]) == ("DELETE", f"{folder}/{identity}")
        assert re.fullmatch(r"[a-z0-9-]{4,63}", identity)


def test_settings_of_a_stream_load_and_hold_no_secret(streaming: dict[str, Any]) -> None:
    for job in streaming["google_cloud_scheduler_job.spark"].values():
        given = environment(job)
        named = {name for name, value in given.items() if value.startswith(SCHEME)}
        assert named == {"PIX_HMAC_KEY"}
        assert re.fullmatch(rf"{SCHEME}\S+/versions/\d+", given["PIX_HMAC_KEY"])
        settings = Settings.from_env(given)
        assert len(public_keys(settings.model_keys)) == 1
        assert not settings.model_signer
        found = batch(job)
        (certificate,) = found["pysparkBatch"]["fileUris"]
        assert f"ssl_ca_certs={certificate.rpartition('/')[2]}&" in settings.state, "in the working folder of a task"
        properties = found["runtimeConfig"]["properties"]
        assert properties["spark.network.crypto.enabled"] == properties["spark.authenticate"] == "true"


def test_the_schedule_trains_on_spark_in_place_of_the_job(deployed_otherwise: dict[str, Any]) -> None:
    (name,) = deployed_otherwise["google_cloud_scheduler_job.spark"]
    job = deployed_otherwise["google_cloud_scheduler_job.spark"][name]
    local = deployed_otherwise["google_cloud_scheduler_job.jobs"]["retrain"]
    assert (name, local["paused"], job["paused"]) == ("retrain", True, False)
    assert job["schedule"] == local["schedule"]
    found = batch(job)
    options = retrain._parser().parse_args(found["pysparkBatch"]["args"])
    assert (options.engine, options.trigger, options.master) == ("spark", "auto", None)
    assert found["environmentConfig"]["executionConfig"]["serviceAccount"].startswith("pix-retrain@")
    given = environment(job)
    assert given["PIX_IMAGE"] == SPARK_IMAGE
    assert Settings.from_env(given).model_signer
    container = deployed_otherwise["google_cloud_run_v2_job.jobs"]["retrain"]["template"][0]["template"][0]
    names = {each["name"] for each in container["containers"][0]["env"]}
    assert set(given) == names


def test_batches_end_within_the_limits_and_run_programs_of_their_image(
    streaming: dict[str, Any], deployed_otherwise: dict[str, Any]
) -> None:
    copied = re.findall(
        r"^COPY jobs/cluster/(\S+) /app/$", (ROOT / "jobs" / "Dockerfile.spark").read_text("utf-8"), re.M
    )
    programs = {f"file:///app/{path.name}" for path in (ROOT / "jobs" / "cluster").glob(copied[0])}
    assert len(copied) == 1
    for of in (streaming, deployed_otherwise):
        for job in of["google_cloud_scheduler_job.spark"].values():
            found = batch(job)
            assert found["pysparkBatch"]["mainPythonFileUri"] in programs
            seconds = int(found["environmentConfig"]["executionConfig"]["ttl"].removesuffix("s"))
            assert SHORTEST <= seconds <= LONGEST


def test_whatever_the_schedule_runs_as_is_lent_to_it_by_bootstrap_alone(
    terraform: str, tmp_path: Path, streaming: dict[str, Any], bootstrapped: dict[str, Any]
) -> None:
    made = evaluate(terraform, tmp_path, {"environment": "staging", "project_id": "p", "spark": True}, "bootstrap")
    lent = made["google_service_account_iam_member.schedule_runs"]
    assert set(lent) == {*STREAMS, "retrain"}
    assert {each["member"] for each in lent.values()} == {"google_service_account/parts.schedule/member"}
    assert not bootstrapped["google_service_account_iam_member.schedule_runs"]
    (editor,) = streaming["google_project_iam_member.spark_schedule"].values()
    assert editor["role"] == "roles/dataproc.serverlessEditor"


def test_accounts_of_spark_reach_no_bucket_by_the_role_of_dataproc(
    terraform: str, tmp_path: Path, streaming: dict[str, Any]
) -> None:
    grants = streaming["google_project_iam_member.spark"]
    assert set(grants) == {"batch", *STREAMS} == set(streaming["google_compute_firewall.spark"])
    (expression,) = {each["condition"][0]["expression"] for each in grants.values()}
    buckets = {
        "my-bank-pix-staging-pix-models/objects/models/current.json": False,
        "dataproc-temp-r-1/objects/a": True,
    }
    for name, allowed in {
        **{f"projects/_/buckets/{each}": found for each, found in buckets.items()},
        "p": True,
    }.items():
        asked = re.sub(r"resource\.name\.startsWith\('", f"startswith('{name}', '", expression).replace("'", '"')
        command = [terraform, "console"]
        done = subprocess.run(command, input=asked, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(allowed).lower(), name


@pytest.mark.parametrize(
    "refused",
    [
        {"feed": "spark"},
        {"retrain_engine": "spark"},
        {"retrain_engine": "cloud"},
        {"feed": "spark", "spark_image": "r1-docker.pkg.dev/p/pix/spark:v1"},
    ],
    ids=str,
)
def test_spark_needs_an_image_by_its_digest(terraform: str, tmp_path: Path, refused: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        evaluate(terraform, tmp_path, {**IMAGES, **refused})


def test_no_batch_of_a_person_can_sign() -> None:
    signers = {str(part).strip('"') for part in Configuration.read("bootstrap").local("signers")}
    assert not signers & {"batch", *STREAMS}
