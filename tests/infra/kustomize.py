"""Assemble an overlay of infra/kubernetes as kustomize does, with the few features that it uses.

Kustomize comes with kubectl, and with no package of Python. Where kubectl is installed, a test holds both equal.
The suffixes of generated ConfigMaps are left out.

    python -m tests.infra.kustomize staging > staging.yaml
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from infra.deploy.stage import ROOT

FOLDER = ROOT / "infra" / "kubernetes"
OVERLAYS = ("staging", "production")
CUSTOM = ("cloud.google.com/", "networking.gke.io/", "secret-sync.gke.io/", "secrets-store.csi.x-k8s.io/")
"""API groups of GKE, whose schemas no package has."""
_KNOWN = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "labels",
    "configMapGenerator",
    "patches",
}
_MERGE_KEYS = ("mountPath", "containerPort", "name")
"""Names by which Kubernetes merges the items of lists; a list whose items have none is replaced."""

Object = dict[str, Any]


def assembled(folder: Path) -> list[Object]:
    """Return the objects of a kustomization. Raises ValueError for a feature that is not known here."""
    text: Object = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    if unknown := set(text) - _KNOWN:
        raise ValueError(f"{folder}: {sorted(unknown)} is not assembled here")
    objects = [each for name in text["resources"] for each in _read(folder / name)]
    for given in text.get("configMapGenerator", []):
        _generate(objects, given, folder)
    for patch in text.get("patches", []):
        _patch(objects, patch, folder)
    for each in objects:
        _place(each, text)
    return objects


def _read(path: Path) -> list[Object]:
    if path.is_dir():
        return assembled(path.resolve())
    return [each for each in yaml.safe_load_all(path.read_text("utf-8")) if each]


def _generate(objects: list[Object], given: Object, folder: Path) -> None:
    lines = "".join((folder / name).read_text("utf-8") for name in given["envs"]).splitlines()
    data = dict(line.split("=", 1) for line in lines)
    if given.get("behavior") == "merge":
        (known,) = [each for each in objects if (each["kind"], _name(each)) == ("ConfigMap", given["name"])]
        known["data"] |= data
    else:
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": given["name"]}, "data": data})


def _patch(objects: list[Object], patch: Object, folder: Path) -> None:
    (change,) = _read(folder / patch["path"])
    target = patch.get("target", {"kind": change["kind"], "name": _name(change)})
    found = [each for each in objects if _selected(each, target)]
    if not found:
        raise ValueError(f"{folder}: no object for {patch}")
    for each in found:
        own = {"metadata": {key: value for key, value in change["metadata"].items() if key != "name"}}
        _merge(each, change | own)


def _selected(each: Object, target: Object) -> bool:
    labels = each["metadata"].get("labels", {})
    wanted = dict(part.split("=") for part in target.get("labelSelector", "").split(",") if part)
    return (
        each["kind"] == target["kind"]
        and target.get("name", _name(each)) == _name(each)
        and all(labels.get(key) == value for key, value in wanted.items())
    )


def _merge(into: Object, change: Object) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, list) and isinstance(into.get(key), list) and (by := _merge_key(value)):
            for item in value:
                same = [each for each in into[key] if each[by] == item[by]]
                _merge(same[0], item) if same else into[key].append(copy.deepcopy(item))
        else:
            into[key] = copy.deepcopy(value)


def _merge_key(items: list[Any]) -> str | None:
    return next((key for key in _MERGE_KEYS if all(isinstance(each, dict) and key in each for each in items)), None)


def _place(each: Object, text: Object) -> None:
    if each["kind"] != "Namespace":
        each["metadata"]["namespace"] = text["namespace"]
    for given in text.get("labels", []):
        for metadata in (each["metadata"], *(pod["metadata"] for pod in templates(each))):
            metadata["labels"] = metadata.get("labels", {}) | given["pairs"]


def templates(each: Object) -> Iterator[Object]:
    """Yield the template of the pods that an object makes, and that of the jobs before it."""
    if each["kind"] == "Deployment":
        yield each["spec"]["template"]
    elif each["kind"] == "CronJob":
        job = each["spec"]["jobTemplate"]
        job.setdefault("metadata", {})
        yield from (job, job["spec"]["template"])


def _name(each: Object) -> str:
    name: str = each["metadata"]["name"]
    return name


def main(arguments: list[str] | None = None) -> int:
    """Print the objects of an overlay whose kinds are Kubernetes' own."""
    parser = argparse.ArgumentParser(prog="python -m tests.infra.kustomize", description=__doc__)
    parser.add_argument("overlay", choices=OVERLAYS)
    found = assembled(FOLDER / "overlays" / parser.parse_args(arguments).overlay)
    own = [each for each in found if not each["apiVersion"].startswith(CUSTOM)]
    sys.stdout.write(yaml.safe_dump_all(own))
    return 0


if __name__ == "__main__":
    sys.exit(main())
