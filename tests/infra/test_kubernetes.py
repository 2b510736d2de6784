"""The objects for GKE have the parts, settings, schedules and sizes that Terraform gives Cloud Run."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.deploy.stage import DESK, FUNCTIONS
from shared.desk.settings import DeskSettings
from shared.settings import Settings
from tests.infra.cluster import WORKERS, container, environment, named, pods
from tests.infra.configuration import Configuration, arguments, plain, texts
from tests.infra.grants import ON_KUBERNETES
from tests.infra.kustomize import FOLDER, OVERLAYS, Object, assembled
from tests.infra.matching import match

TERRAFORM = Configuration.read()
STAGING_SIZES = {"pix-score"}
"""Autoscalers whose sizes the overlay of staging sets."""


def default(name: str) -> Any:
    value = TERRAFORM.variable(name)["default"]
    return {plain(key): plain(each) for key, each in value.items()} if isinstance(value, dict) else plain(value)


def sorted_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sorted_lists(each) for key, each in value.items()}
    if isinstance(value, list):
        return sorted(map(sorted_lists, value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_makes_the_same_objects(overlay: str) -> None:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not installed, so the objects are only assembled in Python")
    folder = FOLDER / "overlays" / overlay
    built = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True).stdout
    text = re.sub(r"\b(pix-(?:settings|desk|tracking))-[a-z0-9]{10}\b", r"\1", built)
    assert sorted_lists([*yaml.safe_load_all(text)]) == sorted_lists(assembled(folder))


def test_every_part_of_terraform_runs_as_its_own_account(objects: list[Object]) -> None:
    running = pods(objects)
    assert {name.removeprefix("pix-") for name in running} == set(ON_KUBERNETES)
    assert set(ON_KUBERNETES) == {*FUNCTIONS, DESK, *arguments(TERRAFORM.local("jobs"))}
    accounts = named(objects, "ServiceAccount")
    project = named(objects, "ConfigMap")["pix-settings"]["data"]["GOOGLE_CLOUD_PROJECT"]
    for name, pod in running.items():
        assert pod["spec"]["serviceAccountName"] == name
        email = accounts[name]["metadata"]["annotations"]["iam.gke.io/gcp-service-account"]
        assert email == f"{name}@{project}.iam.gserviceaccount.com"
    assert set(accounts) - set(running) == {"pix-secrets"}


def test_the_accounts_of_the_cluster_are_those_that_terraform_lets_in(
    terraform: str, tmp_path: Path, objects: list[Object]
) -> None:
    from tests.infra.evaluation import evaluate
    from tests.infra.variables import IMAGES

    for folder in ("environment", "bootstrap"):
        (tmp_path / folder).mkdir()
    made = evaluate(terraform, tmp_path / "environment", {**IMAGES, "feed": "kubernetes"})
    accounts = evaluate(terraform, tmp_path / "bootstrap", {"kubernetes": True}, "bootstrap")
    (namespace,) = named(objects, "Namespace")
    pool = "my-bank-pix-staging.svc.id.goog"
    for part, each in accounts["google_service_account_iam_member.kubernetes"].items():
        assert each["member"] == f"serviceAccount:{pool}[{namespace}/pix-{part}]"
        assert each["service_account_id"] == f"google_service_account/parts.{part}/name"
    assert set(accounts["google_service_account_iam_member.kubernetes"]) == set(ON_KUBERNETES)
    for each in made["google_secret_manager_secret_iam_member.kubernetes"].values():
        assert each["member"].endswith(f"/workloadIdentityPools/{pool}/subject/ns/{namespace}/sa/pix-secrets")
    assert not made["google_cloud_run_v2_worker_pool.workers"]
    for subscription in made["google_pubsub_subscription.functions"].values():
        assert not subscription["push_config"]
    assert all(each["paused"] for each in made["google_cloud_scheduler_job.jobs"].values())


def test_a_part_gets_the_settings_that_terraform_gives_it(objects: list[Object]) -> None:
    for name, pod in pods(objects).items():
        given = environment(objects, pod)
        settings = Settings.from_env(given)
        assert settings.state_shards == 1
        names = set(named(objects, "ConfigMap")["pix-settings"]["data"])
        set_by_terraform = {*arguments(TERRAFORM.local("settings")), *arguments(TERRAFORM.local("telemetry"))}
        assert names == set_by_terraform - {"PIX_OIDC_BY"} | {
            "OMP_WAIT_POLICY",
            "PIX_OIDC_ACCOUNTS",
            "PIX_OIDC_AUDIENCE",
        }
        unknown = set(given) - names - set(settings.to_env())
        assert unknown <= {"HOME", "MLFLOW_TRACKING_AUTH", "PYTHONDONTWRITEBYTECODE"} | (
            {each for each in given if each.startswith("PIX_DESK_")} if name == f"pix-{DESK}" else set()
        )
        assert ("PIX_DESK_AUDIENCE" in given) == (name == f"pix-{DESK}")
    desk = environment(objects, pods(objects)[f"pix-{DESK}"])
    DeskSettings.from_env(desk, Settings.from_env(desk))


def test_settings_have_the_defaults_of_terraform(objects: list[Object]) -> None:
    given = named(objects, "ConfigMap")["pix-settings"]["data"]
    for setting, variable in {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "metrics_endpoint",
        "PIX_HMAC_KEY_VERSION": "hmac_key_version",
        "PIX_MATURITY_DAYS": "maturity_days",
        "PIX_OUTCOMES": "outcomes",
        "PIX_PUBLISH_DECISIONS": "publish_decisions",
        "PIX_STATE_SHARDS": "state_shards",
        "PIX_UNREVIEWED_HOLDS": "unreviewed_holds",
    }.items():
        assert given[setting] == str(default(variable)), setting
    assert given["OTEL_RESOURCE_ATTRIBUTES"] == f"cloud.region={default('region')}"
    query = match(r"\?ssl_ca_certs=[^\"']*", str(TERRAFORM.local("state_url")))[0]
    mounted = plain(TERRAFORM.local("valkey_ca_folder"))
    assert given["PIX_STATE"].endswith(query.replace("${local.valkey_ca_folder}", mounted))
    for pod in pods(objects).values():
        paths = {each["name"]: each["mountPath"] for each in container(pod)["volumeMounts"]}
        assert paths.get("valkey-ca", mounted) == mounted


def _job(name: str) -> tuple[Any, ...]:
    """Return arguments, schedule, seconds and resources of a job of Terraform."""
    job = TERRAFORM.local("jobs")[name]

    def value(expression: Any) -> Any:
        found = re.fullmatch(r"\$\{var\.(\w+)\}", str(expression))
        return default(found[1]) if found else plain(expression)

    seconds = re.sub(r"\$\{var\.(\w+)\}", lambda found: str(default(found[1])), plain(job["timeout"]))
    return [plain(each) for each in job["arguments"]], value(job["schedule"]), seconds, value(job["resources"])


def test_jobs_are_those_of_terraform(objects: list[Object]) -> None:
    jobs = arguments(TERRAFORM.local("jobs"))
    found = named(objects, "CronJob")
    assert set(found) == {f"pix-{name}" for name in jobs}
    for name, job in jobs.items():
        spec = found[f"pix-{name}"]["spec"]
        only, (given, schedule, seconds, resources) = container(pods(objects)[f"pix-{name}"]), _job(name)
        assert [*only["command"], *only["args"]] == ["python", *given]
        assert spec["schedule"] == schedule if schedule else spec["suspend"] is True
        assert spec.get("suspend", False) == (schedule is None)
        assert f"{spec['jobTemplate']['spec']['activeDeadlineSeconds']}s" == seconds
        assert only["resources"]["limits"] == only["resources"]["requests"] == resources
        mounted = {each["name"] for each in only["volumeMounts"]}
        assert ("PIX_HMAC_KEY" in environment(objects, pods(objects)[f"pix-{name}"])) == (
            name in map(plain, TERRAFORM.local("hmac_jobs"))
        )
        assert ("valkey-ca" in mounted) == (name in map(plain, TERRAFORM.local("valkey_jobs")))
        assert ("MLFLOW_TRACKING_URI" in str(only)) == job["tracking"]
        assert (spec["timeZone"], spec["concurrencyPolicy"]) == ("Etc/UTC", "Forbid")
        assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
        (moved,) = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
        assert (moved["action"], moved["onPodConditions"]) == (
            "Ignore",
            [{"type": "DisruptionTarget", "status": "True"}],
        )


def test_functions_have_the_sizes_of_terraform(objects: list[Object]) -> None:
    staging = "staging" in str(named(objects, "ConfigMap")["pix-settings"])
    scaled, kept = named(objects, "HorizontalPodAutoscaler"), named(objects, "PodDisruptionBudget")
    assert set(named(objects, "Deployment")) == {f"pix-{name}" for name in (*FUNCTIONS, DESK)} == {*scaled, *kept}
    for name in FUNCTIONS:
        only, spec = container(pods(objects)[f"pix-{name}"]), scaled[f"pix-{name}"]["spec"]
        assert only["resources"]["limits"] == {"cpu": default(f"{name}_cpu"), "memory": default(f"{name}_memory")}
        if not (staging and f"pix-{name}" in STAGING_SIZES):
            assert spec["maxReplicas"] == default(f"{name}_instances")["max"]
        if name in WORKERS:
            assert spec["minReplicas"] == default("worker_instances")[name]
    assert scaled[f"pix-{DESK}"]["spec"]["maxReplicas"] == default("desk_max_instances")
    for name, each in scaled.items():
        assert each["spec"]["scaleTargetRef"]["name"] == name
        assert kept[name]["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}


def test_workers_scale_by_their_backlog_and_by_cpu(objects: list[Object]) -> None:
    subscription = plain(TERRAFORM.resource("google_pubsub_subscription", "functions")["name"])
    assert subscription == "${each.value.function}"
    for name, each in named(objects, "HorizontalPodAutoscaler").items():
        cpu, *backlog = each["spec"]["metrics"]
        assert cpu["resource"]["target"]["averageUtilization"] == 60
        found = [one["external"]["metric"] for one in backlog]
        function = name.removeprefix("pix-")
        assert [one["selector"]["matchLabels"] for one in found] == (
            [{"resource.labels.subscription_id": function}] if function in WORKERS else []
        )
        assert {one["name"] for one in found} <= {"pubsub.googleapis.com|subscription|num_undelivered_messages"}


def test_nothing_of_the_files_is_forgotten() -> None:
    """Each file of a folder is named by its kustomization."""
    for folder in (FOLDER / "base", *(FOLDER / "overlays" / name for name in OVERLAYS)):
        text = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
        named_ = set(texts(text))
        files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert files - {"kustomization.yaml"} <= named_
