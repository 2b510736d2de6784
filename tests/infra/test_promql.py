"""The queries of Cloud Monitoring's alerts and charts, read by Prometheus; test_prometheus.py evaluates the alerts.

Installed versions may not read quoted names, so those become the names of before: pix.messages is pix_messages.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.infra.test_alerts import queries


def named(query: str) -> str:
    """Return a query with names that every version reads."""
    plain = re.sub(r'\{"([^"]*)"(?:, )?', lambda name: re.sub(r"\W", "_", name[1]) + "{", query)
    return plain.replace("{}", "")


def test_prometheus_reads_every_query(promtool: str, tmp_path: Path, deployed: dict[str, Any]) -> None:
    listed = [{"alert": f"query{i}", "expr": named(query)} for i, query in enumerate(queries(deployed))]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "alerts", "rules": listed}]}), "utf-8")
    command = [promtool, "check", "rules", "rules.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(listed)} rules found" in done.stdout
