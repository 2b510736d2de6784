"""An installed Prometheus with the rules of this repository, behind a collector, and its answers."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.processes import Supervisor
from infra.local.prometheus.collector import collector
from infra.local.prometheus.launch import PROGRAM, prometheus_server
from tests.waiting import PATIENCE

SCRAPED_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus, and the address that functions export to."""

    url: str
    collector: str

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def series(self, query: str) -> list[dict[str, str]]:
        """Return the labels of the series that a query returns now."""
        return [each["metric"] for each in self.get("query", query=query)["result"]]

    def firing(self) -> dict[str, dict[str, str]]:
        """Return the labels of each alert that fires, by its name."""
        alerts = [each["labels"] for each in self.get("alerts")["alerts"] if each["state"] == "firing"]
        return {labels["alertname"]: labels for labels in alerts}


@contextlib.contextmanager
def scraping(folder: Path) -> Iterator[Prometheus]:
    """Run both; skip the test where Prometheus is not installed."""
    if shutil.which(PROGRAM) is None:
        pytest.skip("Prometheus is not installed")
    with collector() as address, Supervisor() as supervisor:
        server = prometheus_server(folder, address, seconds=SCRAPED_SECONDS)
        supervisor.start(server.child)
        yield Prometheus(server.url, address)
