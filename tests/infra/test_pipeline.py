"""Dry runs of the pipeline: commands, their order, and the effect of a failing step."""

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
from tests.infra.pipeline import BY_TRIGGER, DIGEST, FILES, GIVEN, filled, read, run, substitutions

TERRAFORM, BOOTSTRAP = Configuration.read(), Configuration.read("bootstrap")
SCRIPTS = sorted((ROOT / "infra" / "deploy").glob("*.sh"))
REGISTRY = "southamerica-east1-docker.pkg.dev/bank/pix"
RUNNING = f"{REGISTRY}/jobs@sha256:{'0' * 64}"

# Stub of gcloud for a project in which both functions serve an older revision and a new one exists. HOLDER is the
# build that holds the lock at first, if any, and STATUS is the status of that build. INTRUDER, a running build, takes
# the lock right after the first read. $CALLS.lock holds the current generation, $CALLS.lock.N the holder of
# generation N.
GCLOUD = f"""lock=$CALLS.lock
held() {{ cat "$lock" 2>/dev/null || echo 0; }}
put() {{ echo "$2" >"$lock.$1"; echo "$1" >"$lock"; }}
look() {{ if [ "$INTRUDER" ] && [ ! -e "$lock.18" ]; then put 18 "$INTRUDER"; fi; }}
[ -z "$HOLDER" ] || [ -e "$lock.17" ] || put 17 "$HOLDER"
case "$*" in
  "artifacts docker images describe"*) echo "${{5%:*}}@{DIGEST}" ;;
  "artifacts docker images scan"*) echo "scan-of-$5" ;;
  "artifacts docker images list-vulnerabilities"*) echo "$CRITICAL" ;;
  "run services list"*) printf '%s\\n' $THERE ;;
  *"--format=value(spec.traffic.latestRevision)") [ "$LATEST" != refused ] || exit 1; echo "$LATEST" ;;
  *"--format=value(status.latestReadyRevisionName)") echo "$4-old" ;;
  *"--format=value(status.latestCreatedRevisionName)") echo "$4-new" ;;
  "run revisions describe"*) name=${{4%-new}}; echo "{REGISTRY}/${{name#pix-}}@$MADE" ;;
  "run jobs list"*) [ "$JOBS" != refused ] || exit 1; printf '%s\\n' $JOBS ;;
  "run jobs describe"*) echo "{RUNNING}" ;;
  "storage cp build/lock"*) [ "${{5#*=}}" = "$(held)" ] && put 19 "$(cat "$3")" || exit 1 ;;
  "storage cat"*"#"*) cat "$lock.${{3##*#}}"; look ;;
  "storage cat"*) cat "$lock.$(held)"; look ;;
  "storage objects describe"*) [ -e "$lock" ] || exit 1; printf '%s\\t2026-11-20T14:32:05+0000\\n' "$(held)"; look ;;
  "storage rm"*) rm "$lock" ;;
  "builds describe"*) [ "$3" = "$INTRUDER" ] && echo WORKING || echo "$STATUS" ;;
esac
"""


def gcloud(**values: str) -> str:
    known = {
        "CRITICAL": "",
        "HOLDER": "",
        "INTRUDER": "",
        "JOBS": "pix-drift pix-retrain",
        "LATEST": "",
        "MADE": DIGEST,
        "STATUS": "",
        "THERE": "pix-label pix-score",
    }
    given = known | {name.upper(): value for name, value in values.items()}
    return " ".join(f"{name}={value!r}" for name, value in given.items()) + "\n" + GCLOUD


def storage(status: int = 200) -> str:
    """Return curl's stub, which answers this HTTP status for models/current.json."""
    return f"printf {status}"


def python(smoke_passes: bool = True, migrates: bool = True) -> str:
    cases = [("infra.deploy.smoke", smoke_passes), ("infra.deploy.migrate", migrates)]
    return "".join(f'case "$*" in *{module}*) exit {0 if passes else 1} ;; esac\n' for module, passes in cases)


def answers(**tools: str) -> dict[str, str]:
    """Return stubs for a deployment without failures, except those given; `venv` is the working copy's Python."""
    named = {".venv" if name == "venv" else name: text for name, text in tools.items()}
    return {"gcloud": gcloud(), "curl": storage(), ".venv": python()} | named


def holds(folder: Path) -> str | None:
    """Return the build that holds the lock, or None."""
    lock = folder / "calls.lock"
    return Path(f"{lock}.{lock.read_text('utf-8').strip()}").read_text("utf-8").strip() if lock.exists() else None


def traffic(calls: list[str]) -> list[str]:
    """Return the revisions that got traffic."""
    return [found[1] for call in calls if (found := re.search(r"--to-revisions=(\S+)=100", call))]


def position(calls: list[str], pattern: str) -> int:
    return next(at for at, call in enumerate(calls) if re.search(pattern, call))


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
    names = match(r'SERVICES="(.*)"\nTRIED=(\S+)\nTAG=(\S+)', text)
    assert set(names[1].split()) == {f"pix-{name}" for name in FUNCTIONS}
    assert plain(TERRAFORM.resource("google_cloud_run_v2_service", "functions")["name"]) == "pix-${each.key}"
    subscription = TERRAFORM.resource("google_pubsub_subscription", "smoke")
    endpoint = subscription["push_config"][0]["push_endpoint"]
    assert f"https://{names[3]}---" in endpoint
    assert f'functions["{names[2].removeprefix("pix-")}"]' in endpoint
    (topic,) = re.findall(r"--topic (\S+)", text)
    assert plain(TERRAFORM.resource("google_pubsub_topic", "smoke")["name"]) == topic
    assert plain(BOOTSTRAP.resource("google_artifact_registry_repository", "images")["repository_id"]) == "pix"
    assert (
        plain(TERRAFORM.resource("google_storage_bucket", "buckets")["name"]) == "${var.project_id}-pix-${each.key}"
    )
    assert f"b/$PROJECT-pix-models/o/{quote(POINTER, safe='')}" in text
    for module in (smoke, migrate):
        assert f"-m {module.__name__}" in text


def test_deployment_runs_its_steps_in_order(tmp_path: Path) -> None:
    make = "mkdir -p build; touch build/sbom-jobs.json"
    ran = run("cloudbuild.yaml", tmp_path, answers(make=make))
    assert ran.failed is None, ran.output
    order = [
        r"^run$",
        r"^make audit",
        r"^python -m infra.deploy.stage score build/score$",
        r"^docker build .*DIGEST=sha256:",
        rf"^pack build {REGISTRY}/score:c0ffee .*GOOGLE_FUNCTION_TARGET=score",
        rf"^pack build {REGISTRY}/label:c0ffee .*GOOGLE_FUNCTION_TARGET=label",
        r"^gcloud artifacts docker images scan .*/jobs:c0ffee",
        r"^docker push .*/jobs:c0ffee",
        r"^gcloud storage cp build/sbom-jobs.json gs://my-bank-pix-staging-terraform/sbom/c0ffee/",
        r"^python -m infra.deploy.migrate$",
        r"^terraform .* plan ",
        r"^terraform .* apply ",
        r"^gcloud run services update-traffic pix-score --update-tags=candidate=pix-score-new",
        r"^python -m infra.deploy.smoke --topic pix-smoke --timeout \d+ --full$",
        r"^gcloud run services update-traffic pix-score --to-revisions=pix-score-new=100",
        r"^gcloud run services update-traffic pix-label --to-revisions=pix-label-new=100",
        r"^gcloud run services update-traffic pix-score --remove-tags=candidate",
    ]
    positions = [position(ran.calls, pattern) for pattern in order]
    assert positions == sorted(positions)
    assert traffic(ran.calls) == ["pix-score-new", "pix-label-new"]


def test_terraform_gets_digests_and_the_files_of_the_environment(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers())
    for stage, jobs in (("tried", RUNNING), ("proven", f"{REGISTRY}/jobs@{DIGEST}")):
        given = json.loads((tmp_path / f"workspace/build/{stage}.tfvars.json").read_text("utf-8"))
        assert given["jobs_image"] == jobs
        assert given["function_images"] == {name: f"{REGISTRY}/{name}@{DIGEST}" for name in FUNCTIONS}
    init = ran.calls[position(ran.calls, "terraform .* init")]
    assert "environments/staging.gcs.tfbackend" in init
    assert " -reconfigure " in init, "another environment may have been initialised before"
    assert "gs://my-bank-pix-staging-terraform/staging.tfvars" in ran.calls[position(ran.calls, "storage cp gs:")]
    plan, apply = (ran.calls[position(ran.calls, f"terraform .* {verb} ")] for verb in ("plan", "apply"))
    assert match(r"-out=(\S+)$", plan)[1] == apply.split()[-1], "the applied plan must be the planned one"
    assert "-lock-timeout=" in plan


def test_jobs_get_the_new_image_after_the_smoke_test(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers())
    plans = [match(r"build/(\w+)\.tfvars\.json", call)[1] for call in ran.calls if " plan " in call]
    assert plans == ["tried", "proven"]
    smoked = position(ran.calls, "infra.deploy.smoke")
    assert position(ran.calls, r"tried\.tfvars") < smoked < position(ran.calls, r"proven\.tfvars")


def test_jobs_keep_their_image_if_the_smoke_test_fails(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(venv=python(smoke_passes=False)))
    assert not [call for call in ran.calls if "proven.tfvars" in call]


def test_first_jobs_use_the_new_image(tmp_path: Path) -> None:
    run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(jobs="")))
    given = json.loads((tmp_path / "workspace/build/tried.tfvars.json").read_text("utf-8"))
    assert given["jobs_image"] == f"{REGISTRY}/jobs@{DIGEST}"


def test_failed_listing_of_jobs_changes_nothing(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(jobs="refused")))
    assert ran.failed == "prepare"
    assert not [call for call in ran.calls if re.search(r"update-traffic|^terraform .* plan", call)]


def test_failed_lookup_of_traffic_changes_nothing(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(latest="refused")))
    assert ran.failed == "prepare"
    assert not [call for call in ran.calls if re.search(r"update-traffic|deploy.migrate|^terraform .* plan", call)]


def test_deployment_locks_before_any_change_and_unlocks_last(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(latest="True")))
    lock = "gs://my-bank-pix-staging-terraform/staging.deploying"
    taken = position(ran.calls, rf"storage cp build/lock {lock} --if-generation-match=0")
    assert taken < position(ran.calls, "--to-revisions") < position(ran.calls, "infra.deploy.migrate")
    assert ran.calls[-1] == f"gcloud storage rm {lock}"
    assert holds(tmp_path) is None


@pytest.mark.parametrize("status", ["QUEUED", "WORKING"])
def test_second_deployment_waits_and_prints_the_lock_owner(tmp_path: Path, status: str) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(holder="b-0", status=status)))
    assert ran.failed == "lock"
    assert f"build b-0 ({status}) has been deploying since 2026-11-20T14:32:05" in ran.output
    waited = sum(int(call.removeprefix("sleep ")) for call in ran.calls if call.startswith("sleep "))
    assert 1500 < waited <= 1800
    assert holds(tmp_path) == "b-0"
    assert not [call for call in ran.calls if re.search("update-traffic|deploy.migrate|^terraform .* plan", call)]


@pytest.mark.parametrize("status", ["FAILURE", "CANCELLED", "TIMEOUT"])
def test_lock_of_a_finished_build_is_taken_over(tmp_path: Path, status: str) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(holder="b-0", status=status)))
    assert ran.failed is None, ran.output
    assert position(ran.calls, "builds describe b-0 --region=southamerica-east1")
    assert position(ran.calls, "storage cp build/lock .* --if-generation-match=17$")
    assert not [call for call in ran.calls if call.startswith("sleep")]


def test_waiting_deployment_continues_after_the_unlock(tmp_path: Path) -> None:
    stubs = answers(gcloud=gcloud(holder="b-0", status="WORKING"), sleep='rm "$CALLS.lock"')
    ran = run("cloudbuild.yaml", tmp_path, stubs)
    assert ran.failed is None, ran.output
    assert len([call for call in ran.calls if call.startswith("sleep")]) == 1


def test_lock_taken_during_the_check_is_kept(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(holder="b-0", status="FAILURE", intruder="b-9")))
    assert ran.failed == "lock"
    assert "build b-9 (WORKING) has been deploying" in ran.output
    assert holds(tmp_path) == "b-9"


def test_deployment_never_waits_for_its_own_lock(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(holder=GIVEN["BUILD_ID"], status="WORKING")))
    assert ran.failed is None, ran.output


def test_revision_of_another_deployment_is_refused(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(made=f"sha256:{'f' * 64}")))
    assert ran.failed == "candidate"
    assert "which is not an image of this deployment" in ran.output
    assert not [call for call in ran.calls if re.search("update-traffic|infra.deploy.smoke", call)]


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_unknown_state_of_the_model_ends_the_deployment(tmp_path: Path, status: int) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(curl=storage(status)))
    assert ran.failed == "candidate"
    assert f"answers {status}" in ran.output
    assert traffic(ran.calls) == []


def test_failed_smoke_test_keeps_traffic_and_fails_the_build(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(venv=python(smoke_passes=False)))
    assert ran.failed == "traffic"
    assert traffic(ran.calls) == []
    assert ran.calls[-1].endswith("update-traffic pix-score --remove-tags=candidate --quiet")


def test_result_of_an_earlier_smoke_test_is_ignored(tmp_path: Path) -> None:
    stubs = answers(venv=python(smoke_passes=False), terraform="mkdir -p build; touch build/smoked")
    assert run("cloudbuild.yaml", tmp_path, stubs).failed == "traffic"


@pytest.mark.parametrize(
    ("step", "tool", "code"),
    [
        ("scan", "gcloud", gcloud(critical="CVE-2026-1")),
        ("migrate", "venv", python(migrates=False)),
        ("apply", "terraform", 'case "$*" in *" plan "*) exit 1 ;; esac'),
    ],
)
def test_failure_before_the_smoke_test_applies_nothing(tmp_path: Path, step: str, tool: str, code: str) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(**{tool: code}))
    assert ran.failed == step
    assert not [call for call in ran.calls if re.match(r"terraform .* apply ", call)]
    assert traffic(ran.calls) == []


def test_image_with_critical_vulnerabilities_is_not_pushed(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(critical="CVE-2026-1")))
    assert ran.failed == "scan"
    assert "CVE-2026-1" in ran.output
    assert not [call for call in ran.calls if call.startswith("docker push")]


def test_traffic_is_pinned_before_terraform_makes_a_revision(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(latest="True"), venv=python(smoke_passes=False)))
    assert traffic(ran.calls) == ["pix-score-old", "pix-label-old"]
    assert position(ran.calls, "--to-revisions") < position(ran.calls, "^terraform .* plan ")


def test_first_deployment_pins_nothing_and_needs_no_model(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers(gcloud=gcloud(there="", jobs=""), curl=storage(404)))
    assert ran.failed is None, ran.output
    assert traffic(ran.calls) == ["pix-score-new", "pix-label-new"]
    assert not ran.calls[position(ran.calls, "infra.deploy.smoke")].endswith("--full")


def test_images_are_marked_proven_by_digest_at_the_end(tmp_path: Path) -> None:
    ran = run("cloudbuild.yaml", tmp_path, answers())
    marked = [call for call in ran.calls if call.startswith("crane tag")]
    assert marked == [f"crane tag {REGISTRY}/{name}@{DIGEST} proven-c0ffee" for name in ("jobs", "score", "label")]
    assert position(ran.calls, "crane tag") > position(ran.calls, r"terraform .* plan .*proven\.tfvars")


@pytest.mark.parametrize(
    "refused",
    [
        answers(venv=python(smoke_passes=False)),
        answers(curl=storage(503)),
        answers(terraform='case "$*" in *" plan "*proven.tfvars*) exit 1 ;; esac'),
    ],
    ids=["smoke", "candidate", "jobs"],
)
def test_refused_image_is_not_marked_proven(tmp_path: Path, refused: dict[str, str]) -> None:
    ran = run("cloudbuild.yaml", tmp_path, refused)
    assert ran.failed
    assert not [call for call in ran.calls if call.startswith("crane")]


def test_production_copies_the_images_of_staging(tmp_path: Path) -> None:
    ran = run("infra/deploy/cloudbuild.production.yaml", tmp_path, answers())
    assert ran.failed is None, ran.output
    copied = [call for call in ran.calls if call.startswith("crane copy")]
    assert copied[0] == f"crane copy {BY_TRIGGER['_FROM_REGISTRY']}/jobs:proven-c0ffee {REGISTRY}/jobs:c0ffee"
    assert len(copied) == 1 + len(FUNCTIONS)
    assert not [call for call in ran.calls if call.startswith(("docker", "pack"))]
    assert "environments/production.gcs.tfbackend" in ran.calls[position(ran.calls, "terraform .* init")]
    assert len([call for call in ran.calls if re.match(r"gcloud .* scan .*--remote", call)]) == len(copied)
    assert traffic(ran.calls) == ["pix-score-new", "pix-label-new"]


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
