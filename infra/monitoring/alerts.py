"""Alerts as `alerts.yaml` defines them, with the thresholds in place."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Literal

import msgspec
import yaml

from infra.monitoring.thresholds import Thresholds, in_time

FILE = Path(__file__).with_name("alerts.yaml")
EVENT_WINDOW = "10m"
"""Time after an event for which its alert lasts."""


class BurnWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two windows over which an error budget burns at `burn` times the rate that would use it up in 28 days."""

    long: str
    short: str
    burn: float


class Alert(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One alert; its last fields are explained in the file."""

    title: str
    severity: Literal["CRITICAL", "ERROR", "WARNING"]
    page: str
    """The runbook's heading, as the anchor of a link."""
    meaning: str
    first_step: str
    query: str = ""
    prometheus: str = ""
    event: str = ""
    seconds: int = 0
    """Time for which the query has to return a value (s)."""
    bad: str = ""
    goal: float = 1.0


class Alerts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All alerts by name, and the windows of their objectives."""

    windows: tuple[BurnWindow, ...]
    alerts: dict[str, Alert]

    def expression(self, name: str) -> str:
        """Return the PromQL of an alert in Prometheus, empty if Cloud Monitoring alone raises it."""
        alert = self.alerts[name]
        if alert.event:
            return _event(alert.event)
        return _burn(alert, self.windows) if alert.bad else alert.query or alert.prometheus


def read(thresholds: Thresholds) -> Alerts:
    """Return the alerts with these thresholds. Raises KeyError without one that they need, ValueError."""
    values = {name: f"{value:.15g}" for name, value in thresholds.items()} | {"in_time": in_time(thresholds)}
    text = Template(FILE.read_text("utf-8")).substitute(values)
    return msgspec.convert(yaml.safe_load(text), Alerts)


def _event(series: str) -> str:
    """Return a query for a counter that grew. It starts at its first event, so a series that is new has grown too."""
    grown, new = f"increase({series}[{EVENT_WINDOW}])", f"({series} unless {series} offset {EVENT_WINDOW})"
    return f"sum by (job) ({grown} > 0 or {new}) > 0"


def _burn(alert: Alert, windows: tuple[BurnWindow, ...]) -> str:
    """Return a query for a budget that burns too fast, by both windows of a pair, as infra/terraform/slo.tf does."""
    return " or ".join(
        " and ".join(
            f"({alert.bad.replace('WINDOW', window)} > {each.burn * (1 - alert.goal):g})"
            for window in (each.long, each.short)
        )
        for each in windows
    )
