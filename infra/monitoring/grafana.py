"""The dashboard of Grafana: the alerts that fire, the charts of `charts.yaml`, then every metric of the code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import yaml

from infra.monitoring.names import for_prometheus
from shared.telemetry.metrics import METRICS, Metric

FILE = Path(__file__).with_name("charts.yaml")
COLUMNS = 24
"""The width of a dashboard, in units of Grafana's grid."""
_WIDTH, _HEIGHT = 8, 8
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_UNITS = {"s": "s", "{BRL}": "currencyBRL"}
_FIRING = 'sum by (alertname, severity) (ALERTS{alertstate="firing", alertname=~"Pix.+"})'


class Chart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chart: a title, the unit of its axis in Grafana, and a query that names metrics as the code does."""

    title: str
    unit: str
    query: str


def charts() -> list[Chart]:
    """Return the charts that the dashboards of Cloud Monitoring and Grafana share."""
    return msgspec.convert(yaml.safe_load(FILE.read_text("utf-8")), list[Chart])


def every_metric(metrics: Iterable[Metric] = METRICS) -> list[Chart]:
    """Return a chart of each metric; of a histogram, its 99th percentile."""
    return [Chart(metric.description, _unit(metric), _drawn(metric)) for metric in metrics]


def dashboard() -> str:
    """Return the dashboard as JSON, for Grafana 9 and newer."""
    firing = Chart("Alerts that fire", "short", _FIRING)
    sections = [("Alerts", [firing]), ("Functions", charts()), ("Every metric", every_metric())]
    document = {
        "uid": "pix",
        "title": "Pix fraud scoring",
        "tags": ["pix"],
        "schemaVersion": 37,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {"list": []},
        "panels": _placed(sections),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _unit(metric: Metric) -> str:
    return _UNITS.get(metric.unit, "short")


def _drawn(metric: Metric) -> str:
    by = ", ".join(["job", *filter(None, [metric.label])])
    if metric.kind == "histogram":
        return f'histogram_quantile(0.99, sum by ({by}, le) (rate({{"{metric.name}_bucket"}}[5m])))'
    if metric.kind == "gauge":
        return f'max by ({by}) ({{"{metric.name}"}})'
    return f'sum by ({by}) (rate({{"{metric.name}"}}[5m]))'


def _placed(sections: Sequence[tuple[str, Sequence[Chart]]]) -> list[dict[str, Any]]:
    """Return a row for each section and its charts below it, from left to right."""
    panels: list[dict[str, Any]] = []
    ids, top = count(1), 0
    for title, drawn in sections:
        panels.append(_row(next(ids), title, top))
        for place, chart in enumerate(drawn):
            down, right = divmod(place, COLUMNS // _WIDTH)
            panels.append(_panel(next(ids), chart, right * _WIDTH, top + 1 + down * _HEIGHT))
        top += 1 + _HEIGHT * -(-len(drawn) // (COLUMNS // _WIDTH))
    return panels


def _row(id_: int, title: str, top: int) -> dict[str, Any]:
    place = {"h": 1, "w": COLUMNS, "x": 0, "y": top}
    return {"id": id_, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(id_: int, chart: Chart, left: int, top: int) -> dict[str, Any]:
    return {
        "id": id_,
        "type": "timeseries",
        "title": chart.title,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": chart.unit, "min": 0}, "overrides": []},
        "gridPos": {"h": _HEIGHT, "w": _WIDTH, "x": left, "y": top},
        "targets": [{"refId": "A", "datasource": _SOURCE, "expr": for_prometheus(chart.query), "range": True}],
    }
