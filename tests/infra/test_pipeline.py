"""The files of the pipeline: their steps, substitutions, triggers and scripts."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from infra.deploy import migrate, smoke
from infra.deploy.stage import FUNCTIONS, ROOT
from shared.scoring.bundle import POINTER
from tests.infra.configuration import Configuration, arguments, plain
from tests.infra.matching import match
from tests.infra.pipeline import BY_TRIGGER, FILES, GIVEN, filled, read, run, substitutions

TERRAFORM, BOOTSTRAP = Configuration.read(), Configuration.read("bootstrap")
SCRIPTS = sorted((ROOT / "infra" / "deploy").glob("*.sh"))


@pytest.mark.parametrize("name", FILES)
def test_builder_images_are_pinned_and_step_ids_are_unique(name: str) -> None:
    steps = read(name)["steps"]
    for step in steps:
        assert re.search(r":v?\d+\.\d+\.\d+(-[\w-]+)?$", step["name"]), step["name"]
    assert len({step["id"] for step in steps}) == len(steps)


@pytest.mark.parametrize("name", FILES)
def test_substitutions_are_used_and_have_values(name: str) -> None:
    build = read(name)
    text = json.dumps({key: value for key, value in build.items() if key != "substitutions"})
    used = set(re.findall(r"(?<!\$)\$\{?([A-Z_][A-Z_0-9]*)\}?", text)) - set(GIVEN)
    assert used == set(build.get("substitutions", {}))
    filled(text, substitutions(build))


def test_trigger_sets_exactly_the_empty_substitutions() -> None:
    environments = arguments(TERRAFORM.local("all_triggers"))
    everywhere = set(arguments(TERRAFORM.local("deploy_substitutions")))
    for environment in environments.values():
        for trigger in arguments(environment).values():
            build = read(plain(trigger["file"]))
            given = set(re.findall(r"\b_[A-Z_]+\b", str(trigger["substitutions"])))
            lacking = {key for key, value in build.get("substitutions", {}).items() if not value}
            assert lacking <= set(BY_TRIGGER)
            assert given - everywhere == lacking, trigger["file"]


def test_environments_have_their_own_triggers() -> None:
    staging, production = (arguments(TERRAFORM.local("all_triggers")[name]) for name in ("staging", "production"))
    assert {plain(each["file"]) for each in (*staging.values(), *production.values())} == set(FILES)
    (tagged,) = production.values()
    assert plain(tagged["tag"]).startswith("^v")
    approval = TERRAFORM.resource("google_cloudbuild_trigger", "pipeline")["approval_config"][0]
    assert approval["approval_required"] == "${each.value.tag != null}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_parses_and_stops_at_the_first_error(script: Path) -> None:
    for shell in filter(None, map(shutil.which, ("sh", "bash", "busybox"))):
        command = [shell, "sh"] if shell.endswith("busybox") else [shell]
        subprocess.run([*command, "-n", str(script)], check=True)
    if script.name != "names.sh":
        assert "\nset -eu\n" in script.read_text("utf-8")


def test_every_script_is_used() -> None:
    users = "".join((ROOT / name).read_text("utf-8") for name in FILES) + "".join(
        path.read_text("utf-8") for path in SCRIPTS
    )
    for script in SCRIPTS:
        assert f"infra/deploy/{script.name}" in users


def test_names_in_scripts_match_terraform_and_the_code() -> None:
    text = "".join(path.read_text("utf-8") for path in SCRIPTS)
    names = match(r'SERVICES="(.*)"\nTRIED="(.*)"\nTAG=(\S+)', text)
    assert set(names[1].split()) == {f"pix-{name}" for name in FUNCTIONS}
    assert plain(TERRAFORM.resource("google_cloud_run_v2_service", "functions")["name"]) == "pix-${each.key}"
    subscription = TERRAFORM.resource("google_pubsub_subscription", "smoke")
    assert f"https://{names[3]}---" in subscription["push_config"][0]["push_endpoint"]
    tried = {
        plain(topic): f"pix-{plain(each['function'])}"
        for topic, each in TERRAFORM.local("topics").items()
        if isinstance(each, dict) and each["tried"]
    }
    assert tried == dict(zip((smoke.SCORE.topic, smoke.OUTCOME.topic), names[2].split(), strict=True))
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

    assert deploying("cloudbuild.yaml") == deploying("infra/deploy/cloudbuild.production.yaml")


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
