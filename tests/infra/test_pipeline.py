"""The files of the pipeline: their steps, substitutions, triggers and scripts."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from infra.deploy import migrate, smoke
from infra.deploy.stage import DESK, FUNCTIONS, ROOT
from shared.scoring.bundle import POINTER
from tests.infra.configuration import Configuration, arguments, plain
from tests.infra.matching import match
from tests.infra.pipeline import BY_TRIGGER, FILES, GIVEN, filled, read, run, substitutions

TERRAFORM, BOOTSTRAP = Configuration.read(), Configuration.read("bootstrap")
BY_HAND = {"digests.sh", "kubernetes.sh", "pool.sh"}
"""Scripts that a person starts."""
SCRIPTS = sorted((ROOT / "infra" / "deploy").glob("*.sh"))


@pytest.mark.parametrize("name", FILES)
def test_builder_images_are_pinned_and_step_ids_are_unique(name: str) -> None:
    steps = read(name)["steps"]
    for step in steps:
        assert re.search(r":v?\d+\.\d+\.\d+(-[\w-]+)?(@sha256:[0-9a-f]{64})?$", step["name"]), step["name"]
    assert len({step["id"] for step in steps}) == len(steps)


def test_builders_have_one_digest_each_or_none_has_any() -> None:
    images = {step["name"] for name in FILES for step in read(name)["steps"]}
    assert len({image.partition("@")[0] for image in images}) == len(images)
    assert len({"@" in image for image in images}) == 1


def pipeline_in(folder: Path) -> dict[str, str]:
    """Copy the files of the pipeline; return the environment for a script that changes them, with a stub of crane."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    stub = folder / "crane"
    stub.write_text('#!/bin/sh\nprintf "sha256:%s\\n" "$(printf %s "$2" | sha256sum | cut -c-64)"\n', "utf-8")
    stub.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_builders_are_pinned_by_the_digests_of_their_registries(tmp_path: Path) -> None:
    environment = pipeline_in(tmp_path)
    for _ in range(2):  # and again, as after a change of a version
        subprocess.run(["sh", ROOT / "infra/deploy/digests.sh"], cwd=tmp_path, env=environment, check=True)
    for name in FILES:
        before, after = read(name)["steps"], yaml.safe_load((tmp_path / name).read_text("utf-8"))["steps"]
        pinned = [step.pop("name") for step in after]
        images = [step.pop("name").partition("@")[0] for step in before]
        assert before == after
        for image, found in zip(images, pinned, strict=True):
            assert found == f"{image}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def test_no_trigger_is_made_for_builders_without_digests(terraform: str, tmp_path: Path) -> None:
    (lifecycle,) = BOOTSTRAP.resource("google_cloudbuild_trigger", "pipeline")["lifecycle"]
    condition: str = plain(lifecycle["precondition"][0]["condition"])
    expression = condition.removeprefix("${").removesuffix("}")
    environment = pipeline_in(tmp_path)

    def pinned(name: str) -> str:
        asked = expression.replace("${path.module}/../../../${each.value.file}", str(tmp_path / name))
        command = [terraform, "console"]
        done = subprocess.run(command, input=asked, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    if "@" not in read(FILES[0])["steps"][0]["name"]:
        assert [pinned(name) for name in FILES] == ["false"] * len(FILES)
    subprocess.run(["sh", ROOT / "infra/deploy/digests.sh"], cwd=tmp_path, env=environment, check=True)
    assert [pinned(name) for name in FILES] == ["true"] * len(FILES)


def test_builds_but_those_of_pull_requests_run_in_a_private_pool_that_was_chosen(tmp_path: Path) -> None:
    pipeline_in(tmp_path)
    for _ in range(2):
        subprocess.run(["sh", ROOT / "infra/deploy/pool.sh", "r1"], cwd=tmp_path, check=True)
    for name in FILES:
        before, after = read(name), yaml.safe_load((tmp_path / name).read_text("utf-8"))
        if "checks" not in name:
            before["options"].pop("machineType", None)  # of the pool
            before["options"]["pool"] = {"name": "projects/${PROJECT_ID}/locations/r1/workerPools/pix"}
        assert before == after


def test_every_image_is_named_by_a_digest_or_filled_by_a_script() -> None:
    """Steps of builds have one by digests.sh, as above; base and builder by a variable that takes nothing else."""
    dockerfiles = (*(ROOT / "jobs").glob("Dockerfile*"), *(ROOT / "functions").glob("Dockerfile*"))
    bases = {base for path in dockerfiles for base in re.findall(r"^FROM (\S+)", path.read_text("utf-8"), re.M)}
    assert bases == {"${BASE}@${DIGEST}", "${JOBS}"}
    packed = [step for step in read("cloudbuild.yaml")["steps"] if "pack" in step["name"]]
    for step in packed:
        assert {"--builder=${_BUILDER}", "--run-image=${_RUN_IMAGE}", "--trust-builder"} <= set(step["args"])
    run = {plain(found) for block in TERRAFORM.of("resource") for found in _images(block.body)}
    assert run == {"${var.function_images[each.key]}", "${var.desk_image}", "${var.jobs_image}"}
    for name in ("desk_image", "function_images", "jobs_image", "spark_image"):
        assert "sha256:[0-9a-f]{64}$" in str(TERRAFORM.variable(name)["validation"])
    for name in ("base_digest", "builder", "run_image"):
        assert "sha256:[0-9a-f]{64}$" in str(BOOTSTRAP.variable(name)["validation"])


def _images(value: Any) -> list[str]:
    """Return the arguments `image` in a body."""
    if isinstance(value, list):
        return [found for each in value for found in _images(each)]
    if not isinstance(value, dict):
        return []
    return [value["image"]] if isinstance(value.get("image"), str) else _images(list(value.values()))


@pytest.mark.parametrize("name", FILES)
def test_substitutions_are_used_and_have_values(name: str) -> None:
    build = read(name)
    text = json.dumps({key: value for key, value in build.items() if key != "substitutions"})
    used = set(re.findall(r"(?<!\$)\$\{?([A-Z_][A-Z_0-9]*)\}?", text)) - set(GIVEN)
    assert used == set(build.get("substitutions", {}))
    filled(text, substitutions(build))


def test_trigger_sets_exactly_the_empty_substitutions() -> None:
    environments = arguments(BOOTSTRAP.local("all_triggers"))
    everywhere = set(arguments(BOOTSTRAP.local("region_substitution")))
    for environment in environments.values():
        for trigger in arguments(environment).values():
            build = read(plain(trigger["file"]))
            given = set(re.findall(r"\b_[A-Z_]+\b", str(trigger["substitutions"])))
            lacking = {key for key, value in build.get("substitutions", {}).items() if not value}
            assert lacking <= set(BY_TRIGGER)
            assert given - everywhere == lacking, trigger["file"]


def test_environments_have_their_own_triggers() -> None:
    staging, production = (arguments(BOOTSTRAP.local("all_triggers")[name]) for name in ("staging", "production"))
    assert {plain(each["file"]) for each in (*staging.values(), *production.values())} == set(FILES)
    assert len({plain(each["tag"]) for each in production.values()}) == 1
    assert plain(production["pix-deploy"]["tag"]).startswith("^v")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_parses_and_stops_at_the_first_error(script: Path) -> None:
    for shell in filter(None, map(shutil.which, ("sh", "bash", "busybox"))):
        command = [shell, "sh"] if shell.endswith("busybox") else [shell]
        subprocess.run([*command, "-n", str(script)], check=True)
    if script.name != "names.sh":
        assert "\nset -eu\n" in script.read_text("utf-8")


def test_every_script_is_used() -> None:
    workflows = (ROOT / ".github" / "workflows").glob("*.yml")
    users = "".join(path.read_text("utf-8") for path in (*(ROOT / name for name in FILES), *SCRIPTS, *workflows))
    for script in SCRIPTS:
        assert f"infra/deploy/{script.name}" in users or script.name in BY_HAND


def test_names_in_scripts_match_terraform_and_the_code() -> None:
    text = "".join(path.read_text("utf-8") for path in SCRIPTS)
    names = match(r'SERVICES="(.*)"\nDESK=(\S+)\nTAG=(\S+)\nSTEPS="(.*)"', text)
    assert set(names[1].split()) == {f"pix-{name}" for name in FUNCTIONS}
    assert plain(TERRAFORM.resource("google_cloud_run_v2_service", "functions")["name"]) == "pix-${each.key}"
    subscription = TERRAFORM.resource("google_pubsub_subscription", "smoke")
    assert names[2] == plain(TERRAFORM.local("desk_name")) == f"pix-{DESK}"
    assert f"https://{names[3]}---" in subscription["push_config"][0]["push_endpoint"]
    (asked,) = re.findall(r"pix-questions", str(TERRAFORM.local("smoke")))
    assert asked == smoke.QUESTION.topic
    assert {smoke.SCORE.topic, smoke.OUTCOME.topic, smoke.REPORT.topic} == set(arguments(TERRAFORM.local("topics")))
    steps = [int(step) for step in names[4].split()]
    assert steps == sorted(steps) == [1, 10]
    assert plain(TERRAFORM.resource("google_pubsub_topic", "smoke")["name"]) == "${each.key}" + smoke.CANDIDATES
    assert plain(BOOTSTRAP.resource("google_artifact_registry_repository", "images")["repository_id"]) == "pix"
    assert (
        plain(TERRAFORM.resource("google_storage_bucket", "buckets")["name"]) == "${var.project_id}-pix-${each.key}"
    )
    assert f"b/$PROJECT-pix-models/o/{quote(POINTER, safe='')}" in text
    for module in (smoke, migrate):
        assert f"-m {module.__name__}" in text


def test_production_and_staging_share_the_deployment_steps() -> None:
    def deploying(name: str) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = read(name)["steps"]
        return steps[[step["id"] for step in steps].index("lock") :]

    assert deploying("infra/deploy/cloudbuild.staging.yaml") == deploying("infra/deploy/cloudbuild.production.yaml")


def test_pull_request_is_checked_without_any_change(tmp_path: Path) -> None:
    ran = run("infra/deploy/cloudbuild.checks.yaml", tmp_path, {})
    assert ran.failed is None, ran.output
    assert not [call for call in ran.calls if call.startswith(("gcloud", "docker", "pack", "crane"))]


def test_pipeline_never_touches_models() -> None:
    text = "".join((ROOT / name).read_text("utf-8") for name in FILES)
    text += "".join(path.read_text("utf-8") for path in SCRIPTS)
    assert "jobs.promote" not in text
    assert not re.search(r"storage (cp|rm|mv)\b.*models", text)


def test_scripts_of_the_pipeline_exist() -> None:
    for name in FILES:
        for script in re.findall(r"infra/deploy/[\w.]+", (ROOT / name).read_text("utf-8")):
            assert Path(ROOT / script).is_file(), script
