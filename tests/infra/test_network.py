"""Valkey has a subnet of its own, which only parts that call the store reach, and only on its ports."""

import base64
import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.stage import FUNCTIONS
from tests.infra.cluster import named
from tests.infra.evaluation import evaluate
from tests.infra.kustomize import Object
from tests.infra.variables import IMAGES, SPARK_IMAGE

TAG = "pix-history"
PORTS = {"6379", "11000-13047"}
"""https://docs.cloud.google.com/memorystore/docs/valkey/connect-instance: of all endpoints."""


@pytest.fixture(scope="module")
def with_desk(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return evaluate(terraform, tmp_path_factory.mktemp("desk"), {**IMAGES, "desk_domain": "desk.bank.example"})


@pytest.fixture(params=["deployed_otherwise", "with_desk"])
def either(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.getfixturevalue(request.param)
    return found


def templates(deployed: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the kind and name of all that runs on Cloud Run, with the template that names its network."""
    for kind in ("google_cloud_run_v2_service", "google_cloud_run_v2_worker_pool"):
        for address, found in deployed.items():
            if found and address.partition(".")[0] == kind:
                for name, each in _of_each(address, found):
                    yield f"{kind} {name}", each["template"][0]
    for name, job in deployed["google_cloud_run_v2_job.jobs"].items():
        yield f"job {name}", job["template"][0]["template"][0]


def _of_each(address: str, found: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(found, list):
        yield from ((address, each) for each in found)
    elif "template" in found:
        yield address, found
    else:
        yield from found.items()


def test_the_store_is_alone_in_its_subnet(either: dict[str, Any]) -> None:
    subnets = [either[f"google_compute_subnetwork.{name}"] for name in ("pix", "valkey")]
    ranges = [ipaddress.ip_network(each["ip_cidr_range"]) for each in subnets]
    assert not ranges[0].overlaps(ranges[1])
    (config,) = either["google_network_connectivity_service_connection_policy.valkey"]["psc_config"]
    assert config["subnetworks"] == [subnets[1]["id"]]
    placed = [template["vpc_access"][0]["network_interfaces"][0]["subnetwork"] for _, template in templates(either)]
    assert set(placed) == {subnets[0]["id"]}


def test_those_with_the_certificate_of_the_store_alone_have_its_tag(either: dict[str, Any]) -> None:
    tagged = set()
    for name, template in templates(either):
        (interface,) = template["vpc_access"][0]["network_interfaces"]
        mounted = {each["name"] for each in template.get("volumes") or ()}
        assert (interface.get("tags") or []) == ([TAG] if "valkey-ca" in mounted else []), name
        if interface.get("tags"):
            tagged.add(name)
    desks = either["google_cloud_run_v2_service.desk"] or ()
    services = {f"google_cloud_run_v2_service {name}" for name in FUNCTIONS}
    services |= {"google_cloud_run_v2_service google_cloud_run_v2_service.desk" for _ in desks}
    assert services | {"job repair", "job replay"} <= tagged
    assert {
        "job retrain",
        "job operate",
        "google_cloud_run_v2_service google_cloud_run_v2_service.mlflow",
    } & tagged == set()


def test_the_firewall_closes_the_subnet_but_for_the_tag_and_the_ports(either: dict[str, Any]) -> None:
    closed, opened = (either[f"google_compute_firewall.{name}"] for name in ("valkey_closed", "valkey_open"))
    for each in (closed, opened):
        assert each["direction"] == "EGRESS"
        assert each["destination_ranges"] == ["10.64.4.0/28"]
    assert closed["deny"] == [{"protocol": "all"}]
    assert not {"allow", "target_tags", "target_service_accounts"} & {key for key in closed if closed[key]}
    assert opened["target_tags"] == [TAG]
    assert [(each["protocol"], set(each["ports"])) for each in opened["allow"]] == [("tcp", PORTS)]
    assert not opened.get("deny")
    assert opened["priority"] < closed["priority"], "the lower number wins"


def test_of_the_batches_of_spark_only_streams_have_the_tag(terraform: str, tmp_path: Path) -> None:
    given = {**IMAGES, "feed": "spark", "retrain_engine": "spark", "spark_image": SPARK_IMAGE}
    jobs = evaluate(terraform, tmp_path, given)["google_cloud_scheduler_job.spark"]
    tags = {
        name: json.loads(base64.b64decode(job["http_target"][0]["body"]))["environmentConfig"]["executionConfig"][
            "networkTags"
        ]
        for name, job in jobs.items()
    }
    assert tags == {"retrain": [], "stream-label": [TAG], "stream-outcome": [TAG], "stream-score": [TAG]}


def test_pods_with_history_reach_the_same_ports(objects: list[Object]) -> None:
    (rule,) = named(objects, "NetworkPolicy")["history"]["spec"]["egress"]
    found = {str(each["port"]) + (f"-{each['endPort']}" if "endPort" in each else "") for each in rule["ports"]}
    assert found == PORTS
    assert {each["protocol"] for each in rule["ports"]} == {"TCP"}
