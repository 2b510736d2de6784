"""Pods for GKE are probed, drained, restricted and kept apart, and each image has its digest."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from infra.deploy.stage import ASKED, DESK, FUNCTIONS, ROOT
from shared.serving.http.decide_api import PROBE
from shared.serving.http.health import READY
from shared.settings import Settings
from shared.wiring import pull
from tests.infra.cluster import WORKERS, container, environment, named, pods
from tests.infra.configuration import Configuration, plain
from tests.infra.kustomize import CUSTOM, Object
from tests.infra.matching import match

TERRAFORM = Configuration.read()


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_starts_as_in_a_worker_pool_and_answers_probes(objects: list[Object], name: str) -> None:
    only = container(pods(objects)[f"pix-{name}"])
    (pool,) = [
        each["containers"][0] for each in TERRAFORM.resource("google_cloud_run_v2_worker_pool", "workers")["template"]
    ]
    assert only["command"] == [*map(plain, pool["command"])]
    words = [*map(plain, pool["args"])]
    assert only["args"][: len(words)] == words
    port = pull._parser(name).parse_args(only["args"][len(words) :]).health_port
    assert [each["containerPort"] for each in only["ports"]] == [port]
    assert only["readinessProbe"]["httpGet"]["path"] == READY
    assert only["livenessProbe"]["httpGet"]["path"] == only["startupProbe"]["httpGet"]["path"] == "/"


def test_web_parts_are_probed_where_terraform_probes_them(objects: list[Object]) -> None:
    desk = match(r"'path': '\"?(/\w+)", str(TERRAFORM.resource("google_cloud_run_v2_service", "desk")))[1]
    for name, path in ((*ASKED, PROBE), (DESK, desk)):
        only = container(pods(objects)[f"pix-{name}"])
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert only[probe]["httpGet"] == {"path": path, "port": "http"}
        service = named(objects, "Service")[f"pix-{name}"]["spec"]
        assert service["selector"] == {"app.kubernetes.io/name": f"pix-{name}"}


def test_an_instance_may_wait_for_its_parts_at_the_start_and_drain_at_the_end(objects: list[Object]) -> None:
    settings = Settings("p")
    for name in named(objects, "Deployment"):
        pod = pods(objects)[name]
        probe = container(pod)["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] > settings.start_seconds
        before = container(pod)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["spec"]["terminationGracePeriodSeconds"] >= before + settings.drain_seconds + 7
        assert named(objects, "Deployment")[name]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_every_pod_is_restricted(objects: list[Object]) -> None:
    """The rules of Pod Security Standards' level `restricted`, and a root that cannot be written."""
    (namespace,) = named(objects, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, pod in pods(objects).items():
        spec, own = pod["spec"], container(pod)["securityContext"]
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec), name
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {key for volume in spec["volumes"] for key in volume} <= {"name", "emptyDir", "secret"}
        assert spec["automountServiceAccountToken"] is False
        assert environment(objects, pod).get("HOME", "/tmp") == "/tmp"


def test_the_network_lets_only_the_parts_with_history_reach_it(objects: list[Object]) -> None:
    policies = named(objects, "NetworkPolicy")
    nothing = policies["nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ((to,),) = [rule["to"] for rule in policies["history"]["spec"]["egress"]]
    assert to["ipBlock"]["cidr"] == plain(TERRAFORM.variable("valkey_subnet_cidr")["default"])
    (chosen,) = policies["history"]["spec"]["podSelector"]["matchLabels"].items()
    for pod in pods(objects).values():
        mounted = "valkey-ca" in {each["name"] for each in container(pod)["volumeMounts"]}
        assert (chosen in pod["metadata"]["labels"].items()) == mounted
    ingress = {name for name, each in policies.items() if "ingress" in each["spec"]}
    assert ingress == {*ASKED, DESK}
    assert "0.0.0.0/0" not in str(policies)


def test_secrets_are_those_of_secret_manager_in_the_version_in_force(objects: list[Object]) -> None:
    settings = named(objects, "ConfigMap")["pix-settings"]["data"]
    text = named(objects, "SecretProviderClass")["pix-secrets"]["spec"]["parameters"]["secrets"]
    paths = {each["path"]: each["resourceName"] for each in yaml.safe_load(text)}
    place = f"projects/{settings['GOOGLE_CLOUD_PROJECT']}/secrets"
    assert paths == {
        "hmac-key": f"{place}/pix-hmac-key/versions/{settings['PIX_HMAC_KEY_VERSION']}",
        "valkey-ca": f"{place}/pix-valkey-ca/versions/latest",
    }
    used = {(secret, key) for pod in pods(objects).values() for secret, key in _secrets(pod)}
    made = {
        (name, each["targetKey"])
        for name, sync in named(objects, "SecretSync").items()
        for each in sync["spec"]["secretObject"]["data"]
        if each["sourcePath"] in paths
    }
    assert used == made


def _secrets(pod: Object) -> Iterator[tuple[str, str]]:
    for each in container(pod).get("env", []):
        if reference := each.get("valueFrom", {}).get("secretKeyRef"):
            yield reference["name"], reference["key"]
    for volume in pod["spec"]["volumes"]:
        if "secret" in volume:
            yield volume["secret"]["secretName"], "ca.pem"


def test_only_custom_objects_have_no_schema(objects: list[Object]) -> None:
    custom = {each["kind"] for each in objects if each["apiVersion"].startswith(CUSTOM)}
    assert custom == {"BackendConfig", "ManagedCertificate", "SecretProviderClass", "SecretSync"}


def test_a_deployment_names_every_image_by_its_digest(tmp_path: Path) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    shutil.copytree(ROOT / "infra" / "kubernetes", tmp_path / "infra" / "kubernetes")
    shutil.copytree(ROOT / "infra" / "deploy", tmp_path / "infra" / "deploy")
    shutil.copytree(ROOT / "infra" / "terraform" / "environments", tmp_path / "infra" / "terraform" / "environments")
    stub = tmp_path / "tools" / "gcloud"
    stub.parent.mkdir()
    built = 'case "$*" in "builds list"*pix-deploy@*) echo SUCCESS; exit 0 ;; esac'
    answer = f'{built}\ncase "$5" in *:c0ffee) echo sha256:{"d" * 64} ;; *) exit 1 ;; esac'
    stub.write_text(f"#!/bin/sh\n{answer}\n", "utf-8")
    stub.chmod(0o755)
    given = {"ENVIRONMENT": "production", "PROJECT": "bank", "REGION": "r1", "VERSION": "c0ffee"}
    path = f"{stub.parent}:{os.environ['PATH']}"
    command = ["sh", "infra/deploy/kubernetes.sh", "show"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **given, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = [*yaml.safe_load_all(done.stdout)]
    images = {name: container(pod)["image"] for name, pod in pods(shown).items()}
    digest = f"@sha256:{'d' * 64}"
    jobs = f"r1-docker.pkg.dev/bank/pix/jobs{digest}"
    own = {f"pix-{name}": f"r1-docker.pkg.dev/bank/pix/{name}{digest}" for name in (*FUNCTIONS, DESK)}
    assert images == {name: own.get(name, jobs) for name in images}
    maps = named(shown, "ConfigMap")
    assert [each["data"]["PIX_IMAGE"] for name, each in maps.items() if name.startswith("pix-settings")] == [jobs]
