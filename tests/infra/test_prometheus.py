"""The rules for Prometheus, run by promtool, say the same as the alerts of Cloud Monitoring."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.monitoring.__main__ import main
from infra.monitoring.alerts import read
from infra.monitoring.files import FOLDER
from infra.monitoring.names import for_prometheus, translated
from infra.monitoring.rules import rule_name
from infra.monitoring.thresholds import defaults, in_time
from shared.telemetry.metrics import METRICS
from tests.infra.alert_series import CASES, Case
from tests.infra.test_alerts import conditions
from tests.infra.test_operations import HEADINGS
from tests.unit.learning.synthetic import CONFIG

RULES = FOLDER / "prometheus" / "pix.rules.yaml"


def rules(file: Path = RULES) -> dict[str, dict[str, Any]]:
    """Return the rules of a file by the names of their alerts."""
    (group,) = yaml.safe_load(file.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def questions(folder: Path, rule: dict[str, Any]) -> str:
    """Write promtool's tests of one rule, apart from the others, which it would evaluate too; return their path."""
    name = rule["alert"]
    (folder / f"{name}.rules.yml").write_text(json.dumps({"groups": [{"name": "pix", "rules": [rule]}]}), "utf-8")
    cases = [look(case, rule) for case in CASES if case.alert == name]
    tests = {"rule_files": [f"{name}.rules.yml"], "evaluation_interval": "5m", "tests": cases}
    path = folder / f"{name}.tests.yml"
    path.write_text(json.dumps(tests), "utf-8")
    return str(path)


def look(case: Case, rule: dict[str, Any]) -> dict[str, Any]:
    """Return a case as a test of promtool."""
    alert = {"exp_labels": {**rule["labels"], **case.labels}, "exp_annotations": rule["annotations"]}
    return {
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in case.series.items()],
        "alert_rule_test": [
            {"eval_time": f"{case.minute}m", "alertname": case.alert, "exp_alerts": [alert] * case.fires}
        ],
    }


def test_prometheus_reads_the_rules(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout


def test_every_alert_fires_when_it_should_and_not_otherwise(promtool: str, tmp_path: Path) -> None:
    command = [promtool, "test", "rules", *(questions(tmp_path, rule) for rule in rules().values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_series_for_which_it_fires_and_is_quiet() -> None:
    for fires in (True, False):
        assert {case.alert for case in CASES if case.fires is fires} == {*rules()}


def test_the_ceiling_on_rejects_is_that_of_the_gate() -> None:
    costs = CONFIG.costs.by_side
    assert {spec.reject_share_max for spec in costs.values()} == {defaults()["alert_reject_share"]}


def test_cloud_monitoring_asks_the_same(deployed: dict[str, Any]) -> None:
    asked, own = conditions(deployed, "prometheus_query_language"), read(defaults()).alerts
    shared = {name for name, alert in own.items() if alert.query or alert.bad}
    assert shared == {*asked} - {"metrics_not_exported"}
    for name in shared:
        rule = rules()[rule_name(name)]
        assert rule["expr"] == for_prometheus(asked[name]["query"])
        assert rule.get("for", "0s") == asked[name]["duration"]


def test_both_name_the_alert_and_its_page_alike(deployed: dict[str, Any]) -> None:
    policies = deployed["google_monitoring_alert_policy.alerts"]
    for name, policy in policies.items():
        rule = rules().get(rule_name(name.removeprefix("table_")))
        if rule:
            assert policy["display_name"] == f"Pix: {rule['annotations']['summary']}"
            assert policy["severity"].lower() == rule["labels"]["severity"]
            assert policy["documentation"][0]["content"].endswith(rule["annotations"]["runbook"])


def test_every_alert_names_a_page_of_the_runbook() -> None:
    assert {alert.page for alert in read(defaults()).alerts.values()} <= {*HEADINGS}


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.request.duration", "s", "histogram", "http_server_request_duration_seconds"),
        ("system.network.dropped", "{packets}", "counter", "system_network_dropped_total"),
        ("system.memory.utilization", "1", "gauge", "system_memory_utilization_ratio"),
        ("requests.count", "1", "counter", "requests_count_total"),
    ],
)
def test_names_in_prometheus_are_those_of_its_receiver(name: str, unit: str, kind: str, expected: str) -> None:
    """Examples of https://github.com/prometheus/otlptranslator and the Collector's translator."""
    assert translated(name, unit, kind) == expected


def test_a_unit_without_a_known_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'ms'"):
        translated("pix.new", "ms", "histogram")
    with pytest.raises(ValueError, match="no metric has the series"):
        for_prometheus('sum({"pix.messages_bucket"})')


def panels() -> list[dict[str, Any]]:
    """Return the panels of Grafana's dashboard, without its rows."""
    listed = json.loads((FOLDER / "grafana" / "pix.json").read_text("utf-8"))["panels"]
    return [panel for panel in listed if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """Yield the queries of Grafana's dashboard."""
    return (target["expr"] for panel in panels() for target in panel["targets"])


def test_grafana_draws_every_metric_of_the_code_with_its_description() -> None:
    titles = {panel["title"] for panel in panels()}
    assert {metric.description for metric in METRICS} <= titles
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_grafana_has_the_charts_of_cloud_monitoring(deployed: dict[str, Any]) -> None:
    tiles = json.loads(deployed["google_monitoring_dashboard.pix"]["dashboard_json"])["mosaicLayout"]["tiles"]
    drawn = {
        tile["widget"]["title"]: for_prometheus(data["timeSeriesQuery"]["prometheusQuery"])
        for tile in tiles
        for data in tile["widget"]["xyChart"]["dataSets"]
        if "prometheusQuery" in data["timeSeriesQuery"]
    }
    assert drawn
    assert drawn.items() <= {panel["title"]: panel["targets"][0]["expr"] for panel in panels()}.items()


def test_prometheus_reads_every_query_of_grafana(promtool: str, tmp_path: Path) -> None:
    listed = [{"record": f"panel:{i}", "expr": expression} for i, expression in enumerate(expressions())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": listed}]}), "utf-8")
    command = [promtool, "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_of_grafana_do_not_overlap() -> None:
    taken = [
        (x, y)
        for panel in panels()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def test_rules_with_thresholds_of_ones_own(promtool: str, tmp_path: Path) -> None:
    given = {"alert_quarantined": 50, "slo_availability": 0.99, "slo_decision_seconds": 0.25}
    sets = [text for name, value in given.items() for text in ("--set", f"{name}={value}")]
    assert main([str(tmp_path), *sets]) == 0
    usual, own = rules(), rules(tmp_path / "prometheus" / "pix.rules.yaml")
    changed = {name for name, rule in own.items() if rule["expr"] != usual[name]["expr"]}
    assert changed == {"PixQuarantine", "PixSloAvailability", "PixSloDecisionTime"}
    assert own["PixQuarantine"]["expr"].endswith("> 50")
    assert (tmp_path / "grafana" / "pix.json").read_text() == (FOLDER / "grafana" / "pix.json").read_text()
    file = str(tmp_path / "prometheus" / "pix.rules.yaml")
    assert subprocess.run([promtool, "check", "rules", file], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("threshold", "reason"),
    [
        ("alert_quarantine=5", "not one of alert_"),
        ("alert_quarantined", "is not a number"),
        ("alert_quarantined=nan", "is not a number"),
        ("slo_decision_seconds=0.3", "is not a bound of pix.stage.duration"),
    ],
)
def test_a_threshold_that_means_nothing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], threshold: str, reason: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), "--set", threshold])
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_bound_of_decisions_in_time_is_found_however_it_is_written() -> None:
    for bound in (0.25, 1.0, 2.5):
        pattern = in_time({"slo_decision_seconds": bound})
        assert re.fullmatch(pattern, f"{bound:g}")
        assert re.fullmatch(pattern, f"{bound}")
