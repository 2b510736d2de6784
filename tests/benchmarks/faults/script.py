"""The schedule of faults and the recovery from each."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from infra.local.cloud import ROOT, LocalCloud
from jobs.redrive import TOPICS
from shared.adapters.gcs import GcsBlobs
from shared.errors import BundleRefused
from shared.learning.lifecycle.pointer import MoveCause, publish, read_pointer, swap
from shared.scoring.bundle import POINTER, Pointer
from tests.benchmarks.faults.disk import FaultFailed, full_disk
from tests.benchmarks.faults.models import Files
from tests.benchmarks.faults.relay import Relay
from tests.benchmarks.faults.replica import Replica
from tests.benchmarks.faults.stream import LABELLED

PATIENCE = 300.0
_EPOCHS = (
    "(SELECT MAX(MOD(place, 4294967296)) AS largest, COUNT(DISTINCT place) AS places FROM ("
    "SELECT history_sequence AS place FROM pix.score_events "
    "UNION ALL SELECT decided_sequence FROM pix.score_events "
    "UNION ALL SELECT history_sequence FROM pix.fills "
    "UNION ALL SELECT decided_sequence FROM pix.fills "
    "UNION ALL SELECT history_sequence FROM pix.outcomes "
    "UNION ALL SELECT history_sequence FROM pix.feedback) AS counted "
    "WHERE place IS NOT NULL GROUP BY DIV(place, 4294967296)) AS epochs"
)
"""Every change of history has a place in one order over the tables, numbered from 1 in each epoch."""
DAYS = 3_650
"""Days within which rows get places: the stream is older than those of a bank."""
CAUSE = MoveCause(dt.datetime(2026, 11, 20, tzinfo=dt.UTC), "bench", "to see")
Log = Callable[[str], None]


class Scale(NamedTuple):
    """Number and duration (seconds) of the faults."""

    kills: int = 5
    swaps: int = 10
    refuses: float = 30.0
    slow: float = 20.0
    away: float = 45.0  # a starting function looks for its model for up to 30 s
    blind: float = 8.0
    frozen: float = 3.0  # some calls of the store: they time out, and are counted when it wakes
    gone: float = 30.0
    behind: float = 1.0  # the last changes before a failover, which the replica lacks
    fails_over: bool = True
    retraining: bool = True


@dataclass
class Report:
    """Injected faults and failures of the system to handle them, for the result."""

    swaps: int = 0
    refused: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


class Step(NamedTuple):
    """A fault, and the published share of the Pix at which it is due; infinity: after the last message."""

    share: float
    run: Callable[[], None]


class Script:
    """All faults of a run, over one local cloud."""

    def __init__(
        self,
        cloud: LocalCloud,
        relay: Relay,
        good: dict[str, Files],
        bad: dict[str, Files],
        scale: Scale,
        log: Log,
        look: Callable[[], None],
    ) -> None:
        """`look` compares pix.scores; it is called at moments when a decision could change."""
        self.report = Report()
        self._look = look
        self._cloud, self._relay, self._scale, self._log = cloud, relay, scale, log
        self._good, self._bad = good, bad
        self._blobs = GcsBlobs.connect(cloud.settings.project, cloud.settings.bucket)

    def steps(self) -> list[Step]:
        """Return the faults in order; swaps and kills are spread over the whole stream."""
        versions = list(self._good)[1:]  # the first one serves from the start
        found = [Step((n + 0.5) / len(versions), partial(self.swap, v)) for n, v in enumerate(versions)]
        found += [Step((n + 0.7) / self._scale.kills, self.kill) for n in range(self._scale.kills)]
        found += [Step((n + 0.9) / len(self._bad), partial(self.corrupt, v)) for n, v in enumerate(self._bad)]
        found += [Step(0.2, self.disturb_bigquery), Step(0.45, self.stop_storage), Step(0.58, self.lose_history)]
        found += [Step(0.3, self.freeze_history), Step(0.68, self.stop_history)]
        if self._scale.fails_over:
            found.append(Step(0.77, self.fail_over))
        if self._scale.retraining:
            found.append(Step(math.inf, self.retrain_on_a_full_disk))
        return sorted(found, key=lambda step: step.share)

    def begin(self) -> None:
        """Promote the first model."""
        version = next(iter(self._good))
        publish(self._blobs, version, self._good[version])
        swap(self._blobs, read_pointer(self._blobs), version, CAUSE)

    def swap(self, version: str) -> None:
        """Publish a version, promote it and wait until it serves."""
        publish(self._blobs, version, self._good[version])
        swap(self._blobs, read_pointer(self._blobs), version, CAUSE)
        self.report.swaps += 1
        self._wait(lambda: self._logged("model swapped", "to", version), f"{version} to serve")
        self._log(f"{version} serves")

    def kill(self) -> None:
        """Kill the functions of Pix and outcomes with SIGKILL; the local cloud restarts them."""
        for name in ("score", "outcome"):
            self._cloud.functions[name].kill()
        self._log("score and outcome functions killed")

    def corrupt(self, version: str) -> None:
        """Point to a broken bundle, which no job would do; wait until it is refused, then restore the pointer."""
        before = read_pointer(self._blobs)
        publish(self._blobs, version, self._bad[version])
        try:
            swap(self._blobs, before, version, CAUSE)
        except BundleRefused:
            pass
        else:
            self.report.problems.append(f"a job swapped to {version}")
        generation = self._point(version, before.generation)
        self._wait(lambda: self._logged("model refused", "version", version), f"{version} to be refused")
        self.report.refused.add(version)
        assert before.version
        self._point(before.version, generation)
        self._log(f"{version} refused")

    def disturb_bigquery(self) -> None:
        """Let BigQuery refuse all calls, then answer slowly."""
        with self._fault("BigQuery refuses", self._scale.refuses):
            self._relay.refuses = True
        self._relay.refuses = False
        with self._fault("BigQuery is slow", self._scale.slow):
            self._relay.delay = 1.0
        self._relay.delay = 0.0

    def stop_storage(self) -> None:
        """Stop Cloud Storage and kill the function; it finds no model after its restart and decides by rules."""
        before = self._decided_by_rules()
        self._cloud.storage_server.stop(grace=0)
        self.kill()
        with self._fault("Cloud Storage is away", self._scale.away):
            pass
        self._log(f"{self._decided_by_rules() - before:,} rows were decided by rules alone")
        self._cloud.storage_server.start()
        self._cloud.storage_server.wait_ready()

    def lose_history(self) -> None:
        """Restart the history store empty, score without it for a while, then rebuild it like an operator.

        Before the restart, wait until every place has its row, apart from those in flight. If the function had been
        killed just before, the transactions it had counted without a row would be gaps in jobs.skew.
        """
        store = self._cloud.state_server
        self.mend()
        self._wait(self._every_sequence_number_has_its_row, "a row for every place in history")
        store.stop(grace=0)
        time.sleep(1.0)
        store.start()
        store.wait_ready()
        with self._fault("history is empty", self._scale.blind):
            pass
        self._look()
        self.mend()

    def freeze_history(self) -> None:
        """Freeze the store for a moment: calls time out, and are counted all the same when it wakes."""
        for _ in range(2):
            with self._stopped("history is frozen", self._scale.frozen):
                pass
            time.sleep(self._scale.frozen)

    def stop_history(self) -> None:
        """Take the store away for longer than the functions wait for it; then find the places of what it missed."""
        with self._stopped("history is away", self._scale.gone):
            pass
        self._look()
        self.mend()

    def fail_over(self) -> None:
        """Kill the store and go on from a replica that lacks its last changes."""
        store = self._cloud.state_server
        with Replica(self._cloud.settings.state, self._cloud.home / "replica") as replica:
            replica.follow()
            replica.leave()
            time.sleep(self._scale.behind)
            store.stop(grace=0)
            replica.take_over()
        store.start()
        store.wait_ready()
        self._log("history has failed over")
        self._look()
        self.mend()

    def mend(self) -> None:
        """Find the places that rows lack, as the job does every five minutes."""
        outcome = self._job("repair", "--settle", "0", "--days", str(DAYS))
        self._log(f"repair: {outcome['outcome']}, {outcome['filled']}")

    def retrain_on_a_full_disk(self) -> None:
        """Retrain while MLflow cannot store anything: the run must fail without moving the pointer."""
        before = self._blobs.read(POINTER)
        with full_disk(self._cloud.home / "mlflow" / "artifacts"):
            options = ("--config", str(self._config()), "--trials", "1", "--promote", "always")
            done = self._start("retrain", "--as-of", LABELLED.isoformat(), *options)
        after = self._blobs.read(POINTER)
        outcome = _outcome(done.stdout)
        self._log(f"retraining on a full disk: {outcome.get('reasons') or done.stderr[-300:]}")
        if not (done.returncode == 1 and outcome.get("outcome") == "FAILED" and "MLflow" in str(outcome)):
            self.report.problems.append(f"a retraining on a full disk ended with {done.returncode}: {outcome}")
        if before != after:
            self.report.problems.append("a retraining on a full disk moved the pointer")

    def _config(self) -> Path:
        """Write the default configuration with a relaxed check of missing values; the models here had no data set."""
        settings = yaml.safe_load((ROOT / "jobs" / "config.yaml").read_text("utf-8"))
        settings["dataset"]["missing_rise_max"] = 0.999
        path = self._cloud.home / "retrain.yaml"
        path.write_text(yaml.safe_dump(settings), "utf-8")
        return path

    def redrive(self) -> None:
        """Redrive dead letters, like an operator after an outage."""
        for topic in TOPICS:
            outcome = self._job("redrive", topic)
            if outcome["redriven"]:
                self._log(f"{outcome['redriven']} dead letters of {topic} redriven")

    @contextmanager
    def _stopped(self, name: str, seconds: float) -> Iterator[None]:
        """Stop the process of the store for a while, and let it continue as it was."""
        store = self._cloud.state_server
        os.kill(store.pid, signal.SIGSTOP)
        try:
            with self._fault(name, seconds):
                yield
        finally:
            os.kill(store.pid, signal.SIGCONT)

    @contextmanager
    def _fault(self, name: str, seconds: float) -> Iterator[None]:
        self._log(f"{name} for {seconds:g} s")
        yield
        time.sleep(seconds)
        self._log(f"{name}: over")

    def _point(self, version: str, generation: int) -> int:
        pointer = Pointer(version=version, swapped_at=_now().isoformat())
        return self._blobs.write(POINTER, msgspec.json.encode(pointer), generation)

    def _logged(self, message: str, name: str, value: str) -> bool:
        lines = (self._cloud.home / "score.log").read_text(errors="replace").splitlines()
        return any(f'"{message}"' in line and f'"{name}":"{value}"' in line for line in lines)

    def _every_sequence_number_has_its_row(self) -> bool:
        return bool(self._query("COALESCE(LOGICAL_AND(largest = places), TRUE)", _EPOCHS))

    def _decided_by_rules(self) -> int:
        return int(self._query("COUNTIF(model_version IS NULL)"))

    def _query(self, expression: str, rows_of: str = "pix.score_events") -> Any:
        rows = self._cloud.bigquery().query(f"SELECT {expression} AS answer FROM {rows_of}").result(timeout=60)
        return next(iter(rows)).answer

    def _wait(self, condition: Callable[[], bool], event: str) -> None:
        give_up = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > give_up:
                raise FaultFailed(f"timed out waiting for {event}")
            time.sleep(0.2)

    def _job(self, name: str, *arguments: str) -> dict[str, Any]:
        done = self._start(name, *arguments)
        if done.returncode:
            raise FaultFailed(f"jobs.{name} ended with {done.returncode}: {done.stdout[-300:]} {done.stderr[-500:]}")
        return _outcome(done.stdout)

    def _start(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", f"jobs.{name}", *arguments],
            env={**os.environ, **self._cloud.environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )


def _outcome(printed: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(printed.strip().rpartition("\n")[2])
    except ValueError:
        return {}
    return found


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
