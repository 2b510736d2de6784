"""The file of rules for Prometheus."""

from __future__ import annotations

from typing import Any

import yaml

from infra.monitoring.alerts import Alerts
from infra.monitoring.names import for_prometheus

RUNBOOK = "infra/README.md"
_HEAD = """\
# Alerts on the functions' own metrics, made by `make schemas` from infra/monitoring/alerts.yaml.
# With other thresholds: .venv/bin/python -m infra.monitoring FOLDER --set NAME=VALUE
"""


def rules(alerts: Alerts) -> str:
    """Return the file of rules, as YAML, of all alerts that Prometheus raises."""
    listed = [_rule(alerts, name) for name in sorted(alerts.alerts) if alerts.expression(name)]
    text: str = yaml.safe_dump(
        {"groups": [{"name": "pix", "rules": listed}]}, sort_keys=False, width=118, allow_unicode=True
    )
    return _HEAD + text


def rule_name(name: str) -> str:
    """Return the name of an alert in Prometheus.

    >>> rule_name("model_refused")
    'PixModelRefused'
    """
    return "Pix" + name.title().replace("_", "")


def _rule(alerts: Alerts, name: str) -> dict[str, Any]:
    alert = alerts.alerts[name]
    return {
        "alert": rule_name(name),
        "expr": for_prometheus(alerts.expression(name)),
        **({"for": f"{alert.seconds}s"} if alert.seconds else {}),
        "labels": {"severity": alert.severity.lower()},
        "annotations": {
            "summary": alert.title,
            "description": f"{alert.meaning} First step: {alert.first_step}",
            "runbook": f"{RUNBOOK}#{alert.page}",
        },
    }
