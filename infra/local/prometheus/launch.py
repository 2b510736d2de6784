"""An installed Prometheus as a child process, with the rules of this repository."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from infra.local.errors import LocalCloudError
from infra.local.loopback import LOOPBACK, claim_port
from infra.local.processes import ChildProcess, answers_http
from infra.local.prometheus.collector import collector
from infra.monitoring.files import FOLDER

PROGRAM = "prometheus"
SETTING = "--prometheus"
PORT = 9090
"""Its usual one."""
EXPORT_MS = 5000
"""Time between two exports of a function, as between two scrapes."""
RULES = FOLDER / "prometheus" / "pix.rules.yaml"
_MISSING = f"{PROGRAM} is not on PATH: install it, such as by `apt install prometheus` or `brew install prometheus`"


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """A local Prometheus: its address, its process, which the caller starts, and the collector that it scrapes."""

    url: str
    child: ChildProcess
    collector: str

    @property
    def settings(self) -> dict[str, str | float]:
        """Return the settings of functions that export to the collector."""
        return {"otel_exporter_otlp_endpoint": self.collector, "otel_metric_export_interval": EXPORT_MS}


@contextlib.contextmanager
def watching(directory: Path, port: int) -> Iterator[PrometheusServer]:
    """Run a collector, and yield a Prometheus before it, not started yet. Raises LocalCloudError, PortInUse."""
    with collector() as address:
        yield prometheus_server(directory, address, port)


def prometheus_server(
    directory: Path, collected: str, port: int = 0, *, seconds: float = EXPORT_MS / 1000
) -> PrometheusServer:
    """Return a Prometheus, not started yet, which scrapes a collector every few seconds; its files in `directory`.

    It has the rules of this repository. `port` 0 takes a free one. Raises LocalCloudError without one, PortInUse.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise LocalCloudError(_MISSING)
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "prometheus.json"
    file.write_text(json.dumps(_configuration(collected, seconds)), "utf-8")
    port = claim_port(port, SETTING)
    url = f"http://{LOOPBACK}:{port}"
    command = [program, f"--config.file={file}", f"--storage.tsdb.path={directory / 'data'}"]
    command += [f"--web.listen-address={LOOPBACK}:{port}", "--log.level=warn"]
    log, ready = directory / "prometheus.log", answers_http(f"{url}/-/ready")
    child = ChildProcess("Prometheus", command, log_path=log, cwd=directory, ready=ready)
    return PrometheusServer(url, child, collected)


def _configuration(collected: str, seconds: float) -> dict[str, object]:
    """Return the configuration; JSON is YAML. Metrics keep the job and the instance that they come with."""
    every = f"{seconds * 1000:.0f}ms"
    scraped = {"targets": [urlsplit(collected).netloc]}
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "collector", "honor_labels": True, "static_configs": [scraped]}],
    }
