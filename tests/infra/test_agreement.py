"""Terraform and the code agree on tables, views, topics, settings, entry points, secrets and log lines."""

import ast
import dataclasses
import datetime as dt
import importlib
import inspect
import json
import re
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.deploy.stage import ASKED as NO_TOPIC
from infra.deploy.stage import FUNCTIONS
from infra.deploy.stage import ROOT as CODE
from infra.local import provision
from jobs.cli import console
from jobs.cli import wiring as jobs_wiring
from shared.adapters.bigquery import decisions, lookup
from shared.adapters.bigquery.load import FOLDER
from shared.adapters.bigquery.query import STAGING
from shared.adapters.mlflow import auth
from shared.batch.output import RESULTS
from shared.contract import tables, topics
from shared.contract.fields import NOBODY
from shared.contract.topics import TOPICS
from shared.desk.settings import DeskSettings
from shared.learning.config import load
from shared.learning.contest.cohorts import FOLDER as CONTEST
from shared.learning.data import snapshot
from shared.learning.lifecycle.drift import SCORE, Drift, Traffic
from shared.learning.lifecycle.trigger import JUDGED
from shared.learning.monitoring import day_inputs
from shared.ports.decisions import Sought
from shared.replay import snapshots
from shared.settings import CLAIM_SECONDS, MATURITY_DAYS, Settings
from shared.wiring.console import console as desk_console
from shared.wiring.label import label_function
from shared.wiring.outcome import outcome_function
from shared.wiring.score import scoring
from tests.infra.configuration import Configuration, arguments, plain, texts
from tests.infra.grants import ALLOWED
from tests.infra.matching import match

TERRAFORM = Configuration.read()
GIVEN_BY_CLOUD_RUN = {"CLOUD_RUN_EXECUTION", "K_SERVICE", "K_REVISION"}
OF_JOBS = {"MLFLOW_TRACKING_URI"}
OF_THE_TRAINING = {"PIX_MODEL_SIGNER"}
"""Given to the job whose account may sign, and to nothing else."""
OF_THEIR_IMAGE = {"PIX_COMMIT", "PIX_IMAGE"}
"""Set by the build of the jobs (jobs/Dockerfile), and from its digest."""
EMULATORS = {"BIGQUERY_EMULATOR_HOST", "BIGQUERY_STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"}


def _names(local: str) -> set[str]:
    return set(arguments(TERRAFORM.local(local)))


def _default(variable: str) -> Any:
    return plain(TERRAFORM.variable(variable)["default"])


def test_schema_files_are_tables_and_sql_files_are_views() -> None:
    assert {path.stem for path in tables.FOLDER.glob("*.json")} == set(tables.TABLES)
    assert {path.stem for path in tables.FOLDER.glob("*.sql")} == set(tables.VIEWS)
    assert "shared/contract/bigquery" in TERRAFORM.local("contract")


def test_partition_expiry_names_existing_tables() -> None:
    assert set(_default("partition_expiry_days")) <= set(tables.TABLES)


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        ("score", scoring),
        ("decide", scoring),
        ("outcome", outcome_function),
        ("label", label_function),
        ("console", desk_console),
        ("retrain", jobs_wiring.ledger),
    ],
)
def test_part_may_append_only_to_the_tables_that_it_writes(part: str, wire: Callable[..., object]) -> None:
    granted = {
        plain(each["table"])
        for each in TERRAFORM.resource("google_bigquery_table_iam_member", "append")["for_each"].values()
        if isinstance(each, dict) and plain(each["part"]) == part
    }
    source = inspect.getsource(wire).replace("LEDGER", f'"{jobs_wiring.LEDGER}"')
    written = {name for name in tables.TABLES if f'"{name}"' in source}
    assert written == granted


STORED = decisions.decisions_statement("p", "d", [Sought("E12345678202611201432a1b2c3d4e5f", "PAYER", None)]) or ""


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ("label", re.findall(r"dataset\}\.(\w+)", inspect.getsource(lookup))),
        ("outcome", re.findall(r"`p\.d\.(\w+)`", STORED)),
    ],
)
def test_function_may_read_only_the_tables_that_it_looks_up(part: str, read: list[str]) -> None:
    viewer = "roles/bigquery.dataViewer on bigquery_table "
    granted = {role.removeprefix(viewer) for role in ALLOWED[part] if role.startswith(viewer)}
    assert granted == set(read)


def test_topics_and_subscriptions_match_the_local_cloud() -> None:
    assert _names("topics") == set(TOPICS)
    (publishable,) = re.findall(r"keys\(var\.publishers\), (\[[^]]*\])", str(TERRAFORM.variable("publishers")))
    assert set(json.loads(publishable)) == set(TOPICS)
    functions = {plain(each["function"]) for each in TERRAFORM.local("topics").values() if isinstance(each, dict)}
    assert functions == set(FUNCTIONS) - set(NO_TOPIC)
    assert plain(TERRAFORM.resource("google_pubsub_topic", "dead")["name"]) == "${each.key}" + topics.DEAD
    assert plain(TERRAFORM.resource("google_pubsub_subscription", "functions")["name"]) == "${each.value.function}"
    assert _default("ack_deadline_seconds") == provision.ACK_DEADLINE_SECONDS


def test_claim_outlives_the_longest_pause_between_deliveries() -> None:
    pause = _default("ack_deadline_seconds") + _default("maximum_backoff_seconds")
    assert pause < CLAIM_SECONDS


@pytest.mark.parametrize("function", FUNCTIONS)
def test_concurrency_fits_the_queue_of_an_instance(function: str) -> None:
    settings = Settings(project="p")
    assert _default(f"{function}_concurrency") <= settings.batch_max * settings.batches_in_flight
    assert _default(f"{function}_concurrency") <= settings.queue_max


@pytest.mark.parametrize("name", ["feedback", "outcomes"])
def test_messages_that_nothing_repeats_get_more_deliveries_than_transactions(name: str) -> None:
    assert _default(f"{name}_delivery_attempts") > _default("transactions_delivery_attempts")


def test_functions_match_their_staged_entry_points() -> None:
    assert _names("functions") == set(FUNCTIONS)
    assert set(re.findall(r"(\w+) = string", str(TERRAFORM.variable("function_images")["type"]))) == set(FUNCTIONS)
    for name in FUNCTIONS:
        tree = ast.parse((CODE / "functions" / name / "main.py").read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}


def test_every_setting_can_be_set_and_no_other() -> None:
    known = (
        set(Settings(project="p").to_env())
        - EMULATORS
        - GIVEN_BY_CLOUD_RUN
        - OF_JOBS
        - OF_THE_TRAINING
        - OF_THEIR_IMAGE
    )
    secret = set(arguments(TERRAFORM.local("hmac_versions")))
    open_ = set(re.findall(r"(?:PIX|OTEL)_\w+", str(TERRAFORM.variable("settings")["validation"])))
    given = _names("settings") | secret | (_names("telemetry") - {"OTEL_RESOURCE_ATTRIBUTES"})
    assert secret == {"PIX_HMAC_KEY", "PIX_HMAC_KEY_NEXT"}
    assert not given & open_
    assert given | open_ == known


def test_every_setting_of_the_desk_can_be_set_and_no_other() -> None:
    fields = {f"PIX_DESK_{field.name.upper()}" for field in dataclasses.fields(DeskSettings)}
    open_ = set(re.findall(r"PIX_DESK_\w+", str(TERRAFORM.variable("desk_settings")["validation"])))
    given = set(
        re.findall(r"PIX_DESK_\w+", str(TERRAFORM.resource("google_cloud_run_v2_service", "desk")["template"]))
    )
    assert not given & open_
    assert given | open_ == fields - {"PIX_DESK_USER"}  # of a local cloud alone


def test_defaults_match_the_code() -> None:
    assert _default("maturity_days") == MATURITY_DAYS
    assert _default("outcomes") == Settings(project="p").outcomes
    assert plain(TERRAFORM.resource("google_bigquery_dataset", "pix")["dataset_id"]) == Settings(project="p").dataset


@pytest.mark.parametrize("name", sorted(_names("jobs")))
def test_job_runs_a_module_that_accepts_its_arguments(name: str) -> None:
    option, module, *rest = map(plain, TERRAFORM.local("jobs")[name]["arguments"])
    assert option == "-m"
    parser = importlib.import_module(module)._parser()
    if rest == ["--help"]:
        with pytest.raises(SystemExit, match="0"):
            parser.parse_args(rest)
    else:
        parser.parse_args(rest)


def test_jobs_get_the_variables_of_mlflow() -> None:
    (name,) = OF_JOBS
    assert Settings.from_env({"GOOGLE_CLOUD_PROJECT": "p", name: "http://mlflow"}).mlflow_tracking_uri
    environment = " ".join(texts(TERRAFORM.resource("google_cloud_run_v2_job", "jobs")))
    assert name in environment
    assert re.search(rf'MLFLOW_TRACKING_AUTH = "{auth.NAME}"', environment)


def test_every_counted_message_is_logged() -> None:
    logged = {
        node.value
        for folder in ("shared", "jobs", "functions")
        for path in (CODE / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        for node in call.args
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    messages = arguments(TERRAFORM.local("logged")).values()
    counted = {plain(text) for texts_ in messages for text in texts_}
    assert counted <= logged, counted - logged


def test_job_results_hold_the_extracted_fields(capsys: pytest.CaptureFixture[str]) -> None:
    at = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    found = Drift("v1", at, at, 9, Traffic(*[0] * len(Traffic.__struct_fields__)), {SCORE: 0.1}, {SCORE: 0.25})
    console.run(lambda: (console.OK, {"outcome": "STEADY", **msgspec.structs.asdict(found)}))
    result = json.loads(capsys.readouterr().out)
    read = re.findall(r"EXTRACT\(jsonPayload\.([\w.]+)\)", str([*TERRAFORM.resources("google_logging_metric")]))
    values = {path: reduce(lambda part, name: part[name], path.split("."), result) for path in read}
    assert values == {"outcome": "STEADY", "psi.score": 0.1}


def test_deletion_of_rows_is_final_and_models_are_kept() -> None:
    buckets = TERRAFORM.local("buckets")
    deleted = {plain(name) for name in buckets["data"]["deletes"]}
    # A snapshot of history is named by its time, and the pointer beside it is not.
    whole = {RESULTS, FOLDER, *(f"{name}/" for name in (STAGING, CONTEST, snapshot.FOLDER, day_inputs.FOLDER))}
    assert deleted == {*whole, f"{snapshots.FOLDER}2"}
    counts_kept = buckets["data"]["deletes"][f'"{day_inputs.FOLDER}/"']
    assert counts_kept > load(CODE / "jobs" / "config.yaml").drift.remembered_days, (
        "jobs.monitor compares a day with so many before it"
    )
    assert buckets["data"]["restores"] is False
    for bucket in ("models", "mlflow"):
        assert not buckets[bucket]["deletes"]
        assert buckets[bucket]["restores"] is True
    resource = TERRAFORM.resource("google_storage_bucket", "buckets")
    assert "each.value.restores" in resource["versioning"][0]["enabled"]
    [kept] = resource["soft_delete_policy"]
    assert re.fullmatch(r"\$\{each\.value\.restores \? .* : 0\}", kept["retention_duration_seconds"])


def test_bucket_settings_name_models_and_data() -> None:
    settings = TERRAFORM.local("settings")
    assert '["models"]' in settings["PIX_BUCKET"]
    assert '["data"]' in settings["PIX_DATA_BUCKET"]


def _columns(name: str) -> dict[str, str]:
    """Return the columns of a table, or of a view of one table, with their descriptions."""
    if name in tables.TABLES:
        return {column.name: column.description for column in tables.table(name).schema}
    sql = next(view.sql for view in tables.views("p", "d", 1.0) if view.name == name)
    shown, behind = match(r"SELECT ([\w, ]+)\nFROM `p\.d\.(\w+)`", sql).groups()
    return {column: _columns(behind)[column] for column in shown.split(", ")}


def test_alert_queries_use_existing_columns_and_actions() -> None:
    for name, watch in TERRAFORM.local("watches").items():
        if not isinstance(watch, dict):
            continue
        query = watch["query"]
        read = re.findall(r"`\$\{local\.dataset\}\.(\w+)`", query)
        columns = {column: text for table in read for column, text in _columns(table).items()}
        quoted = set(re.findall(r"`([a-z_]+)`", query))
        words = set(re.findall(r"\b[a-z][a-z_]+\b", re.sub(r"'[^']*'|\$\{[^}]*\}|`[^`]*`|<<-SQL", "", query)))
        named = set(re.findall(r"\bAS ([a-z_]+)", query))
        assert (words | quoted) - named <= set(columns), (name, words | quoted)
        known = re.findall(r"[A-Z_]+", columns["action"] if "action" in columns else columns.get("decision", ""))
        assert set(re.findall(r"'([A-Z_]+)'", query)) <= set(known), name


def test_alert_queries_exclude_the_smoke_test_pix() -> None:
    queries = [each["query"] for each in TERRAFORM.local("watches").values() if isinstance(each, dict)]
    of_scores = [query for query in queries if ".score_events`" in query]
    assert of_scores
    assert all(f"payer_ispb != '{NOBODY}'" in query for query in of_scores)


def test_jobs_image_holds_its_imports_and_runs_unprivileged() -> None:
    dockerfile = (CODE / "jobs" / "Dockerfile").read_text("utf-8")
    assert "--require-hashes" in dockerfile
    assert re.search(r"^USER 10001:10001$", dockerfile, re.M)
    assert re.findall(r"^FROM (\S+)", dockerfile, re.M) == ["${BASE}@${DIGEST}", "${BASE}@${DIGEST}"]
    copied = set(re.findall(r"^COPY (?!--)(\w+) ", dockerfile, re.M))
    imported = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for folder in copied
        for path in (CODE / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    ours = {path.name for path in CODE.iterdir() if (path / "__init__.py").exists()}
    assert imported & ours == copied
    ignored = (CODE / ".dockerignore").read_text("utf-8").splitlines()
    assert {f"!{name}" for name in copied} <= set(ignored)


def test_jobs_lock_has_hashes_and_the_versions_of_the_root_lock() -> None:
    def pinned(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text("utf-8"), re.M))

    lock, root = CODE / "jobs" / "requirements.txt", pinned(CODE / "requirements.txt")
    packages = re.split(r"^(?=[\w.-]+==)", lock.read_text("utf-8"), flags=re.M)[1:]
    assert packages
    assert all("--hash=sha256:" in package for package in packages)
    assert pinned(lock).items() <= root.items()


def test_jobs_know_their_commit_and_image() -> None:
    assert "ENV PIX_COMMIT=${COMMIT}" in (CODE / "jobs" / "Dockerfile").read_text("utf-8")
    assert "PIX_IMAGE = var.jobs_image" in (CODE / "infra" / "terraform" / "jobs.tf").read_text("utf-8")
    assert "--build-arg=COMMIT=${COMMIT_SHA}" in (CODE / "cloudbuild.yaml").read_text("utf-8")


def test_the_alert_on_retraining_knows_every_action_that_ends_one() -> None:
    text = (CODE / "infra" / "terraform" / "alerts-tables.tf").read_text("utf-8")
    found = re.search(r"WHERE \(action IN \(([^)]*)\) OR", text)
    assert found
    assert set(re.findall(r"'(\w+)'", found[1])) == {*JUDGED, "NOTHING_TO_DO"}
