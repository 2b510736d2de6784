"""Alerts, charts and metrics of the evaluated configuration match the code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource

from infra.deploy.stage import FUNCTIONS, ROOT
from shared.adapters.otel import metrics_data
from shared.telemetry.metrics import (
    BATCH,
    HISTORY,
    MESSAGES,
    METRICS,
    MODEL,
    QUEUE,
    SCORED,
    STAGE,
    Distribution,
    Series,
)
from tests.contract.googlesql import check
from tests.infra.configuration import Configuration, arguments, plain
from tests.infra.evaluation import evaluate
from tests.infra.matching import match
from tests.infra.variables import IMAGES

LOG_BASED = r"logging\.googleapis\.com/user/([\w/]+)"
OF_GOOGLE = {
    *(f"memorystore.googleapis.com/instance/{resource}/maximum_utilization" for resource in ("cpu", "memory")),
    "memorystore.googleapis.com/instance/stats/total_rejected_connections_count",
    "pubsub.googleapis.com/subscription/num_undelivered_messages",
    "pubsub.googleapis.com/subscription/oldest_unacked_message_age",
    "pubsub.googleapis.com/subscription/push_request_latencies",
    "pubsub.googleapis.com/topic/send_message_operation_count",
    "run.googleapis.com/job/completed_execution_count",
}
"""Metrics that Google lists, https://docs.cloud.google.com/monitoring/api/metrics_gcp: they exist before any data."""
LOGGED_TOO = "metrics not exported"
"""A message that is counted, not matched."""


def charts(deployed: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the charts of the dashboard."""
    layout = json.loads(deployed["google_monitoring_dashboard.pix"]["dashboard_json"])["mosaicLayout"]
    return [tile["widget"] for tile in layout["tiles"]]


def conditions(deployed: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the condition of each alert policy of one kind, by the policy's key."""
    policies = deployed["google_monitoring_alert_policy.alerts"].items()
    found = {name: policy["conditions"][0][f"condition_{kind}"] for name, policy in policies}
    return {name: condition[0] for name, condition in found.items() if condition}


def queries(deployed: dict[str, Any]) -> list[str]:
    """Return the PromQL queries of charts and alerts."""
    drawn = [data["timeSeriesQuery"] for widget in charts(deployed) for data in widget["xyChart"]["dataSets"]]
    return [each["prometheusQuery"] for each in drawn if "prometheusQuery" in each] + [
        condition["query"] for condition in conditions(deployed, "prometheus_query_language").values()
    ]


def test_alerts_and_charts_use_exactly_the_log_based_metrics(deployed: dict[str, Any]) -> None:
    made = {metric["name"] for address, metric in deployed.items() if address.startswith("google_logging_metric.")}
    text = "".join(queries(deployed)) + json.dumps(charts(deployed))
    assert set(re.findall(LOG_BASED, text)) == made


def test_no_alert_asks_for_a_metric_that_the_same_apply_makes(deployed: dict[str, Any]) -> None:
    """Google refuses one on a log-based metric for up to ten minutes after it was made, unless told not to look."""
    for condition in conditions(deployed, "threshold").values():
        assert metric_of(condition["filter"]) in OF_GOOGLE
    for condition in conditions(deployed, "absent").values():
        assert metric_of(condition["filter"]) in OF_GOOGLE
    assert all(
        each["disable_metric_validation"] for each in conditions(deployed, "prometheus_query_language").values()
    )


def metric_of(filter_: str) -> str:
    return match(r'metric\.type="([^"]+)"', filter_)[1]


def test_a_line_that_is_alerted_on_has_an_alert_of_its_own(deployed: dict[str, Any]) -> None:
    filters = [condition["filter"] for condition in conditions(deployed, "matched_log").values()]
    listed = {plain(name) for name in arguments(Configuration.read().local("logged"))}
    matched = [text for filter_ in filters for text in re.findall(r"jsonPayload\.message=\(([^)]*)\)", filter_)]
    assert len(matched) == len(set(matched)) == len(listed) - 1
    assert LOGGED_TOO not in "".join(matched)
    assert LOGGED_TOO in deployed["google_logging_metric.metrics_not_exported"]["filter"]
    assert all('resource.type="cloud_run_revision"' in each for each in filters if "jsonPayload" in each)


def test_a_second_failure_of_a_day_notifies_again(deployed: dict[str, Any]) -> None:
    for name, policy in deployed["google_monitoring_alert_policy.alerts"].items():
        (strategy,) = policy["alert_strategy"]
        assert strategy["auto_close"] == "1800s", name
        assert [limit["period"] for limit in strategy["notification_rate_limit"]] in ([], ["3600s"]), name


def test_promql_uses_metrics_and_labels_of_the_functions(deployed: dict[str, Any]) -> None:
    known = {metric.name: metric for metric in METRICS}
    selectors = [found for text in queries(deployed) for found in re.findall(r'\{"([\w.]+)"([^}]*)\}', text)]
    assert selectors
    for name, matchers in selectors:
        metric = known[re.sub(r"_(bucket|sum|count)$", "", name)]
        assert (metric.name != name) == (metric.kind == "histogram"), "only a histogram takes Prometheus's suffixes"
        allowed = {metric.label, "job", *(["le"] if name.endswith("_bucket") else [])}
        assert set(re.findall(r"(\w+)[!=]", matchers)) <= allowed, (name, matchers)
        assert set(re.findall(r'job="([^"]*)"', matchers)) <= {f"pix-{function}" for function in FUNCTIONS}
    for text in queries(deployed):
        of = {known[re.sub(r"_(bucket|sum|count)$", "", name)].label for name in re.findall(r'\{"([\w.]+)"', text)}
        groups = {label for found in re.findall(r"by \(([^)]*)\)", text) for label in found.split(", ")}
        assert groups <= of | {"job", "le"}, text
        assert ("le" in groups) == ("histogram_quantile" in text), text


def test_dashboard_has_the_charts_that_operators_need(deployed: dict[str, Any]) -> None:
    text = json.dumps(charts(deployed))
    for needed in (STAGE, QUEUE, BATCH, SCORED, MESSAGES, HISTORY, MODEL):
        assert f'{{\\"{needed.name}' in text, needed.name
    for resource in ("cpu", "memory"):
        assert f"memorystore.googleapis.com/instance/{resource}/maximum_utilization" in text


def test_label_values_in_promql_exist_in_the_code(deployed: dict[str, Any]) -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "shared").rglob("*.py"))
    queried = {
        value
        for text in queries(deployed)
        for selector in re.findall(r'\{"pix\.[^}]*\}', text)
        for matched in re.findall(r'\w+[!=]~?="?"([\w|]+)"|\w+=~?"([\w|]+)"', selector)
        for value in "".join(matched).split("|")
    }
    assert {"total", "answered", "full", "no_history"} <= queried
    for value in queried:
        assert f'"{value}"' in code, value


def test_metric_and_label_names_are_valid_for_google() -> None:
    for metric in METRICS:
        (scope,) = (
            metrics_data(
                [Series(metric, "a", 1.0 if metric.bounds == () else Distribution([0] * 99))], Resource({}), 0
            )
            .resource_metrics[0]
            .scope_metrics
        )
        (sent,) = scope.metrics
        labels = set(sent.data.data_points[0].attributes or {})
        assert sent.name == metric.name
        assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_:./]*", sent.name)
        assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_.]*", key) for key in labels)
        assert labels == ({metric.label} if metric.label else set())


def test_paused_schedules_silence_alerts_on_the_missing_model(
    terraform: str, tmp_path: Path, deployed: dict[str, Any]
) -> None:
    paused = evaluate(terraform, tmp_path, {**IMAGES, "schedules_paused": True})

    usual, silenced = (conditions(of, "prometheus_query_language")["degraded"]["query"] for of in (deployed, paused))
    assert "rules_only" in usual
    assert "rules_only" not in silenced
    assert "no_history" in silenced
    watches = paused["google_bigquery_data_transfer_config.watches"]
    assert {name for name, watch in watches.items() if watch["disabled"]} == {
        "drift",
        "learning",
        "probation",
        "reject_ceiling",
        "swap",
    }
    assert not [w for w in deployed["google_bigquery_data_transfer_config.watches"].values() if w["disabled"]]
    assert all(job["paused"] for job in paused["google_cloud_scheduler_job.jobs"].values())


def test_alert_queries_are_valid_googlesql(deployed: dict[str, Any]) -> None:
    dataset = deployed["google_bigquery_dataset.pix"]["dataset_id"]
    watches = deployed["google_bigquery_data_transfer_config.watches"]
    assert "outcomes" in watches
    for watch in watches.values():
        check(watch["params"]["query"].replace(f"`my-bank-pix-staging.{dataset}.", "`bank.pix."))


@pytest.mark.parametrize(
    ("endpoint", "paused", "counted"),
    [
        ("", False, "COUNTIF(degraded)"),
        ("", True, "COUNTIF(degraded AND history_sequence IS NULL)"),
        ("http://collector.bank.example:4318", False, "COUNTIF(degraded)"),
    ],
)
def test_other_metrics_endpoint_adds_the_query_on_degraded_pix(
    terraform: str, tmp_path: Path, deployed: dict[str, Any], endpoint: str, paused: bool, counted: str
) -> None:
    elsewhere = evaluate(terraform, tmp_path, {**IMAGES, "metrics_endpoint": endpoint, "schedules_paused": paused})
    watches, usual = (of["google_bigquery_data_transfer_config.watches"] for of in (elsewhere, deployed))
    assert {*watches} - {*usual} == {"degraded"}
    asked = {name for name in conditions(elsewhere, "matched_log") if name.startswith("table_")}
    assert asked == {f"table_{name}" for name in watches}
    assert counted in watches["degraded"]["params"]["query"]
    assert not watches["degraded"]["disabled"]


def test_every_alert_has_a_channel_and_a_first_step(deployed: dict[str, Any]) -> None:
    policies = deployed["google_monitoring_alert_policy.alerts"]
    for policy in policies.values():
        assert policy["notification_channels"], policy["display_name"]
        meaning, step, page = policy["documentation"][0]["content"].split("\n\n")
        assert re.fullmatch(r"\*\*Meaning\.\*\* \S.{20,}\.", meaning), policy["display_name"]
        assert re.fullmatch(r"\*\*First step\.\*\* \S.{20,}\.", step), policy["display_name"]
        assert re.fullmatch(r"\*\*Runbook\.\*\* infra/README\.md#[a-z-]+", page), policy["display_name"]


def test_every_alert_has_one_condition_and_only_logs_a_rate_limit(deployed: dict[str, Any]) -> None:
    kinds = [
        {*conditions(deployed, kind)} for kind in ("threshold", "absent", "matched_log", "prometheus_query_language")
    ]
    policies = deployed["google_monitoring_alert_policy.alerts"]
    assert sorted(name for kind in kinds for name in kind) == sorted(policies)
    limited = {name for name, policy in policies.items() if policy["alert_strategy"][0]["notification_rate_limit"]}
    assert limited == kinds[2]
    assert all(kinds)


def test_dashboard_tiles_do_not_overlap(deployed: dict[str, Any]) -> None:
    layout = json.loads(deployed["google_monitoring_dashboard.pix"]["dashboard_json"])["mosaicLayout"]
    taken = [(tile["xPos"], tile["yPos"]) for tile in layout["tiles"]]
    assert len(set(taken)) == len(taken)
    assert all(tile["xPos"] + tile["width"] <= layout["columns"] for tile in layout["tiles"])
