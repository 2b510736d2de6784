"""Terraform and the code name the same things: tables, views, topics, settings, entry points, secrets, log lines."""

import ast
import datetime as dt
import importlib
import inspect
import json
import re
from functools import reduce
from pathlib import Path

import msgspec
import pytest

from infra.deploy.stage import FUNCTIONS
from infra.deploy.stage import ROOT as CODE
from infra.local import cloud
from jobs.cli import console
from jobs.cli import wiring as jobs_wiring
from shared.adapters.bigquery.load import FOLDER
from shared.adapters.bigquery.query import STAGING
from shared.adapters.mlflow import auth
from shared.contract import tables
from shared.contract.fields import NOBODY
from shared.contract.topics import FEEDBACK, TRANSACTIONS
from shared.learning.data import snapshot
from shared.learning.lifecycle.drift import SCORE, Drift, Traffic
from shared.settings import CLAIM_SECONDS, MATURITY_DAYS, Settings
from shared.wiring.label import label_function
from shared.wiring.score import score_function
from tests.infra.configuration import Configuration, arguments, plain, texts

TERRAFORM = Configuration.read()
GIVEN_BY_CLOUD_RUN = {"K_SERVICE", "K_REVISION"}
EMULATORS = {"BIGQUERY_EMULATOR_HOST", "BIGQUERY_STORAGE_EMULATOR_HOST"}


def _names(local: str) -> set[str]:
    return set(arguments(TERRAFORM.local(local)))


def _default(variable: str):
    return plain(TERRAFORM.variable(variable)["default"])


def test_every_schema_file_is_a_table_and_every_sql_file_a_view():
    assert {path.stem for path in tables.FOLDER.glob("*.json")} == set(tables.TABLES)
    assert {path.stem for path in tables.FOLDER.glob("*.sql")} == set(tables.VIEWS) == _names("views")
    assert "shared/contract/bigquery" in TERRAFORM.local("contract")


def test_expiry_is_of_tables_that_exist():
    assert set(_default("partition_expiry_days")) <= set(tables.TABLES)


@pytest.mark.parametrize(
    ("part", "wire"),
    [("score", score_function), ("label", label_function), ("retrain", jobs_wiring.ledger)],
)
def test_a_part_may_append_to_the_tables_that_it_writes_and_to_no_other(part, wire):
    granted = {
        plain(each["table"])
        for each in TERRAFORM.resource("google_bigquery_table_iam_member", "append")["for_each"].values()
        if isinstance(each, dict) and plain(each["part"]) == part
    }
    source = inspect.getsource(wire).replace("LEDGER", f'"{jobs_wiring.LEDGER}"')
    written = {name for name in tables.TABLES if f'"{name}"' in source}
    assert written == granted


def test_topics_dead_letters_and_subscriptions_are_those_of_the_local_cloud():
    assert _names("topics") == {TRANSACTIONS, FEEDBACK}
    functions = {plain(each["function"]) for each in TERRAFORM.local("topics").values() if isinstance(each, dict)}
    assert functions == set(FUNCTIONS)
    assert plain(TERRAFORM.resource("google_pubsub_topic", "dead")["name"]) == "${each.key}" + cloud.DEAD_LETTERS
    assert plain(TERRAFORM.resource("google_pubsub_subscription", "push")["name"]) == "${each.value.function}"
    assert _default("ack_deadline_seconds") == cloud.ACK_DEADLINE_SECONDS


def test_a_claim_outlives_the_longest_pause_between_two_deliveries():
    pause = _default("ack_deadline_seconds") + _default("maximum_backoff_seconds")
    assert pause < CLAIM_SECONDS


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_instance_is_given_no_more_requests_than_its_queue_takes(function):
    settings = Settings(project="p")
    assert _default(f"{function}_concurrency") <= settings.batch_max * settings.batches_in_flight
    assert _default(f"{function}_concurrency") <= settings.queue_max


def test_reports_are_tried_more_often_than_transactions():
    assert _default("feedback_delivery_attempts") > _default("transactions_delivery_attempts")


def test_the_functions_are_those_that_are_staged_and_named_as_their_entry_points():
    assert _names("functions") == set(FUNCTIONS)
    assert set(re.findall(r"(\w+) = string", str(TERRAFORM.variable("function_images")["type"]))) == set(FUNCTIONS)
    for name in FUNCTIONS:
        tree = ast.parse((CODE / "functions" / name / "main.py").read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}


def test_every_setting_can_be_given_and_no_other_is():
    known = set(Settings(project="p").to_env()) - EMULATORS - GIVEN_BY_CLOUD_RUN
    secret = {
        name
        for function in TERRAFORM.local("functions").values()
        if isinstance(function, dict)
        for name in arguments(function["secret_env"])
    }
    open_ = set(re.findall(r"(?:PIX|OTEL)_\w+", str(TERRAFORM.variable("settings")["validation"])))
    given = _names("settings") | secret | (_names("telemetry") - {"OTEL_RESOURCE_ATTRIBUTES"})
    assert secret == {"PIX_HMAC_KEY"}
    assert not given & open_
    assert given | open_ == known


def test_the_default_of_a_setting_is_that_of_the_code():
    assert _default("maturity_days") == MATURITY_DAYS
    assert plain(TERRAFORM.resource("google_bigquery_dataset", "pix")["dataset_id"]) == Settings(project="p").dataset


@pytest.mark.parametrize("name", sorted(_names("jobs")))
def test_a_job_runs_a_module_that_takes_its_arguments(name):
    option, module, *rest = map(plain, TERRAFORM.local("jobs")[name]["arguments"])
    assert option == "-m"
    parser = importlib.import_module(module)._parser()
    if rest == ["--help"]:
        with pytest.raises(SystemExit, match="0"):
            parser.parse_args(rest)
    else:
        parser.parse_args(rest)


def test_jobs_are_told_where_mlflow_is_by_the_variable_that_they_read():
    assert '"MLFLOW_TRACKING_URI"' in inspect.getsource(jobs_wiring.tracking)
    environment = " ".join(texts(TERRAFORM.resource("google_cloud_run_v2_job", "jobs")))
    assert "MLFLOW_TRACKING_URI" in environment
    assert re.search(rf'MLFLOW_TRACKING_AUTH = "{auth.NAME}"', environment)


def test_every_line_that_is_counted_is_logged():
    said = {
        node.value
        for folder in ("shared", "jobs", "functions")
        for path in (CODE / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        for node in call.args
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    logged = arguments(TERRAFORM.local("logged")).values()
    counted = {plain(text) for messages in logged for text in messages}
    assert counted <= said, counted - said


def test_what_is_read_of_the_result_of_a_job_is_in_it(capsys):
    at = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    found = Drift("v1", at, at, 9, Traffic(*[0] * len(Traffic.__struct_fields__)), {SCORE: 0.1})
    console.run(lambda: (console.OK, {"outcome": "STEADY", **msgspec.structs.asdict(found)}))
    result = json.loads(capsys.readouterr().out)
    read = re.findall(r"EXTRACT\(jsonPayload\.([\w.]+)\)", str([*TERRAFORM.resources("google_logging_metric")]))
    values = {path: reduce(lambda part, name: part[name], path.split("."), result) for path in read}
    assert values == {"outcome": "STEADY", "psi.score": 0.1}


def test_rows_are_deleted_for_good_and_models_not_at_all():
    buckets = TERRAFORM.local("buckets")
    deleted = {plain(name) for name in buckets["data"]["deletes"]}
    assert deleted == {f"{STAGING}/", FOLDER, f"{snapshot.FOLDER}/"}
    assert buckets["data"]["restores"] is False
    for bucket in ("models", "mlflow"):
        assert not buckets[bucket]["deletes"]
        assert buckets[bucket]["restores"] is True
    resource = TERRAFORM.resource("google_storage_bucket", "buckets")
    assert "each.value.restores" in resource["versioning"][0]["enabled"]
    [kept] = resource["soft_delete_policy"]
    assert re.fullmatch(r"\$\{each\.value\.restores \? .* : 0\}", kept["retention_duration_seconds"])


def test_rows_and_models_are_where_the_code_looks_for_them():
    settings = TERRAFORM.local("settings")
    assert '["models"]' in settings["PIX_BUCKET"]
    assert '["data"]' in settings["PIX_DATA_BUCKET"]


def _columns(name: str) -> dict[str, str]:
    """Return the columns of a table, or of a view of one table, with their descriptions."""
    if name in tables.TABLES:
        return {column.name: column.description for column in tables.table(name).schema}
    sql = next(view.sql for view in tables.views("p", "d", 1.0) if view.name == name)
    shown, behind = re.search(r"SELECT ([\w, ]+)\nFROM `p\.d\.(\w+)`", sql).groups()
    return {column: _columns(behind)[column] for column in shown.split(", ")}


def test_alerts_ask_for_columns_and_actions_that_exist():
    for name, watch in TERRAFORM.local("watches").items():
        if not isinstance(watch, dict):
            continue
        query = watch["query"]
        (table,) = re.findall(r"`\$\{local\.dataset\}\.(\w+)`", query)
        columns = _columns(table)
        words = set(re.findall(r"\b[a-z][a-z_]+\b", re.sub(r"'[^']*'|\$\{[^}]*\}|`[^`]*`|<<-SQL", "", query)))
        assert words - {"{"} <= set(columns), (name, words - set(columns))
        for action in re.findall(r"'([A-Z_]+)'", query):
            assert action in columns["action"].split(), (name, action)


def test_the_pix_that_tries_a_deployment_is_left_out_of_what_scores_are_watched_for():
    queries = [each["query"] for each in TERRAFORM.local("watches").values() if isinstance(each, dict)]
    of_scores = [query for query in queries if ".score_events`" in query]
    assert of_scores
    assert all(f"payer_ispb != '{NOBODY}'" in query for query in of_scores)


def test_the_image_holds_what_the_jobs_import_and_runs_without_rights():
    dockerfile = (CODE / "jobs" / "Dockerfile").read_text("utf-8")
    assert "--require-hashes" in dockerfile
    assert re.search(r"^USER 10001:10001$", dockerfile, re.M)
    assert re.findall(r"^FROM (\S+)", dockerfile, re.M) == ["${BASE}@${DIGEST}", "${BASE}@${DIGEST}"]
    copied = set(re.findall(r"^COPY (?!--)(\w+) ", dockerfile, re.M))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for folder in copied
        for path in (CODE / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    ours = {path.name for path in CODE.iterdir() if (path / "__init__.py").exists()}
    assert imported & ours == copied
    ignored = (CODE / ".dockerignore").read_text("utf-8").splitlines()
    assert {f"!{name}" for name in copied} <= set(ignored)


def test_the_lock_of_the_jobs_has_a_hash_for_every_package_and_the_versions_of_the_whole():
    def pinned(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text("utf-8"), re.M))

    lock, whole = CODE / "jobs" / "requirements.txt", pinned(CODE / "requirements.txt")
    packages = re.split(r"^(?=[\w.-]+==)", lock.read_text("utf-8"), flags=re.M)[1:]
    assert packages
    assert all("--hash=sha256:" in package for package in packages)
    assert pinned(lock).items() <= whole.items()
