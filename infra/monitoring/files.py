"""The files for Prometheus and Grafana."""

from __future__ import annotations

from pathlib import Path

from infra.monitoring.alerts import read
from infra.monitoring.grafana import dashboard
from infra.monitoring.rules import rules
from infra.monitoring.thresholds import Thresholds

FOLDER = Path(__file__).parent


def files(thresholds: Thresholds, folder: Path = FOLDER) -> dict[Path, str]:
    """Return the content of each file, by its path below `folder`."""
    return {
        folder / "prometheus" / "pix.rules.yaml": rules(read(thresholds)),
        folder / "grafana" / "pix.json": dashboard(),
    }
