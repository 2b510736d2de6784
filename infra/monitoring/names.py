"""Names of the functions' metrics in Prometheus.

Queries name metrics as OpenTelemetry does, which Cloud Monitoring keeps. Prometheus, its OTLP receiver and the
OpenTelemetry Collector write them in letters, digits and underscores with a suffix of unit and type, unless told
otherwise (`translation_strategy`):
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#otlp-metric-points-to-prometheus
"""

from __future__ import annotations

import re

from shared.telemetry.metrics import METRICS, Metric

_UNITS = {"s": "seconds"}
_SUFFIXES = {"counter": "", "gauge": "", "histogram": "_(bucket|sum|count)"}
_SELECTOR = re.compile(r'\{"([^"]+)"(?:, )?([^}]*)\}')


def prometheus_name(metric: Metric) -> str:
    """Return the name of a metric in Prometheus; a histogram's is without the suffix of its series.

    >>> from shared.telemetry.metrics import MESSAGES, MODEL, STAGE
    >>> prometheus_name(MESSAGES), prometheus_name(MODEL), prometheus_name(STAGE)
    ('pix_messages_total', 'pix_model_serving_ratio', 'pix_stage_duration_seconds')
    """
    return translated(metric.name, metric.unit, metric.kind)


def translated(name: str, unit: str, kind: str) -> str:
    """Return the name in Prometheus of a metric of a unit (UCUM) and kind. Raises ValueError for an unknown unit.

    >>> translated("pix.control.spent", "{BRL}", "counter")
    'pix_control_spent_total'
    """
    parts = [re.sub(r"[^a-zA-Z0-9:]+", "_", name)]
    if unit in _UNITS:
        parts += [_UNITS[unit]]
    elif unit != "1" and not re.fullmatch(r"\{.*\}", unit):
        raise ValueError(f"{name}: the name of the unit {unit!r} in Prometheus is not known")
    if kind == "counter":
        parts += ["total"]
    if kind == "gauge" and unit == "1":
        parts += ["ratio"]
    return "_".join(parts)


def for_prometheus(query: str) -> str:
    """Return a query with the names that metrics have in Prometheus. Raises ValueError for an unknown metric.

    >>> for_prometheus('sum(rate({"pix.messages", status="failed"}[5m])) / sum(rate({"pix.messages"}[5m]))')
    'sum(rate(pix_messages_total{status="failed"}[5m])) / sum(rate(pix_messages_total[5m]))'
    """
    return _SELECTOR.sub(lambda found: _series(found[1]) + (found[2] and f"{{{found[2]}}}"), query)


def _series(name: str) -> str:
    for metric in METRICS:
        found = re.fullmatch(re.escape(metric.name) + (_SUFFIXES[metric.kind] or "()"), name)
        if found:
            return prometheus_name(metric) + (found[1] and f"_{found[1]}")
    raise ValueError(f"no metric has the series {name!r}")
