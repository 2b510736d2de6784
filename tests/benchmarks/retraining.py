"""Measure a full retraining on simulated Pix, from the tables to the swap.

    python -m tests.benchmarks.retraining --rows 500000

Simulates enough Pix for this many training rows with matured labels, replays them into the local cloud and runs
`jobs.retrain` in its own process with the default configuration. Then it retrains from the snapshot of the first run;
both models must be the same bytes. Times are of this machine; the local BigQuery, which exports the rows, runs on the
same cores.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.local.cloud import LocalCloud
from infra.local.demo.events import FRAUD_RATE
from infra.local.simulator import SimulationConfig, simulate
from jobs.cli import wiring
from shared.scoring.bundle import MANIFEST, path
from tests.benchmarks.proc import children_seconds

DAYS = 240
POLL_SECONDS = 0.2


class Measured:
    """A finished job: its result, its seconds, and the processor time and peak memory (MB) of it and its children."""

    def __init__(self, cloud: LocalCloud, *arguments: str) -> None:
        start, used = time.perf_counter(), children_seconds()
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={**os.environ, **cloud.environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.peak_mb = 0.0
        watch = threading.Thread(target=self._watch, args=[process])
        watch.start()
        output, _ = process.communicate()
        watch.join()
        self.seconds, self.processor_seconds = time.perf_counter() - start, children_seconds() - used
        if process.returncode:
            sys.exit(f"{' '.join(arguments)} ended with {process.returncode}: {output[-1000:]}")
        last = output.strip().rpartition("\n")[2]
        self.result: dict[str, Any] = json.loads(last) if last.startswith("{") else {}

    def _watch(self, process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            self.peak_mb = max(self.peak_mb, resident_mb(process.pid))
            time.sleep(POLL_SECONDS)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process and its descendants."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0.0  # the process has ended
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 + sum(resident_mb(int(child)) for child in children)


def simulated(rows: int, maturity_days: float, seed: int, file: Path) -> dt.datetime:
    """Write the events and return the end of their period."""
    end = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0)
    config = SimulationConfig(
        transactions=math.ceil(rows * DAYS / (DAYS - maturity_days)),
        days=DAYS,
        end=end,
        seed=seed,
        fraud_rate=FRAUD_RATE,
    )
    with file.open("wb") as lines:
        for line in simulate(config):
            lines.write(line)
    return end


def main() -> None:
    """Run both retrainings and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000, help="training rows (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the simulator (default: %(default)s)")
    parser.add_argument("--config", type=Path, default=Path("jobs/config.yaml"), help="(default: %(default)s)")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="pix-retraining-") as home, LocalCloud(Path(home) / "cloud") as cloud:
        events = Path(home) / "events.ndjson"
        print("simulate ...", file=sys.stderr)
        end = simulated(options.rows, cloud.settings.maturity_days, options.seed, events)
        print("replay into the tables ...", file=sys.stderr)
        Measured(cloud, "jobs.replay", str(events))
        retrain = ("jobs.retrain", "--config", str(options.config))
        print("retrain ...", file=sys.stderr)
        first = Measured(cloud, *retrain, "--as-of", end.isoformat(), "--promote", "always")
        print("retrain from the snapshot ...", file=sys.stderr)
        again = Measured(cloud, *retrain, "--snapshot", first.result["dataset_hash"], "--promote", "never")
        report(cloud, first, again)


def _onnx_digest(cloud: LocalCloud, version: str) -> str:
    manifest = wiring.blobs(cloud.settings).read(path(version, MANIFEST))
    assert manifest, f"{version} has no manifest"
    digest: str = json.loads(manifest.data)["files"]["model.onnx"]
    return digest


def report(cloud: LocalCloud, first: Measured, again: Measured) -> None:
    """Print the figures as a table and as one line of JSON."""
    models = [_onnx_digest(cloud, job.result["approved"]) for job in (first, again)]
    metrics = first.result["metrics"]
    figures = {
        "rows": first.result["rows"],
        "outcome": first.result["outcome"],
        "seconds": round(first.seconds, 1),
        "peak_mb": round(first.peak_mb),
        "calibration_error": round(metrics["calibration_error"], 4),
        "below_rules": round(1 - metrics["cost_per_million"] / metrics["rules_cost_per_million"], 3),
        "average_precision": round(metrics["average_precision"], 4),
        "same_onnx_from_snapshot": models[0] == models[1],
        "snapshot_seconds": round(again.seconds, 1),
    }
    for name, seconds in first.result["steps"].items():
        print(f"{seconds:8.1f} s  {name}")
    print(f"{first.result['outcome']}: {'; '.join(first.result['reasons'])}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
