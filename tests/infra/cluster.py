"""Readers of the objects for GKE."""

from __future__ import annotations

from infra.deploy.stage import ASKED, FUNCTIONS
from tests.infra.kustomize import Object, templates

WORKERS = sorted({*FUNCTIONS} - {*ASKED})
SECRET = "a secret of sixty-four characters, as Terraform generates them."


def named(objects: list[Object], kind: str) -> dict[str, Object]:
    """Return the objects of a kind by their names."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: list[Object]) -> dict[str, Object]:
    """Return the templates of the pods of each Deployment and CronJob, by its name."""
    running = named(objects, "Deployment") | named(objects, "CronJob")
    return {name: [*templates(each)][-1] for name, each in running.items()}


def container(pod: Object) -> Object:
    (only,) = pod["spec"]["containers"]
    found: Object = only
    return found


def environment(objects: list[Object], pod: Object) -> dict[str, str]:
    """Return the environment of a pod as the cluster would set it."""
    maps = named(objects, "ConfigMap")
    given: dict[str, str] = {}
    for source in container(pod)["envFrom"]:
        given |= maps[source["configMapRef"]["name"]]["data"]
    for each in container(pod).get("env", []):
        origin = each.get("valueFrom", {})
        if "configMapKeyRef" in origin:
            given[each["name"]] = maps[origin["configMapKeyRef"]["name"]]["data"][origin["configMapKeyRef"]["key"]]
        else:
            given[each["name"]] = each.get("value", SECRET)
    return given
