"""The schedule of faults and the recovery from each."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import yaml

from infra.local.cloud import ROOT, LocalCloud
from shared.errors import BundleRefused
from shared.learning.lifecycle.pointer import MoveCause, publish, read_pointer, swap
from shared.scoring.bundle import POINTER, Pointer
from tests.benchmarks.faults.clock import DAY
from tests.benchmarks.faults.disk import full_disk
from tests.benchmarks.faults.instances import Instances
from tests.benchmarks.faults.models import Files
from tests.benchmarks.faults.on_call import Log, OnCall, result_of
from tests.benchmarks.faults.relay import Relay
from tests.benchmarks.faults.scale import Report, Scale
from tests.benchmarks.faults.store import StoreFaults
from tests.benchmarks.faults.stream import LABELLED, REFUSED

CAUSE = MoveCause(dt.datetime(2026, 11, 20, tzinfo=dt.UTC), "bench", "to see")


class Step(NamedTuple):
    """A fault, and the published share of the Pix at which it is due; infinity: after the last message."""

    share: float
    run: Callable[[], None]


class Site(NamedTuple):
    """The place of the faults: a local cloud, its functions, and the way of their rows to BigQuery."""

    cloud: LocalCloud
    instances: Instances
    relay: Relay


class Script:
    """All faults of a run."""

    def __init__(
        self,
        site: Site,
        good: dict[str, Files],
        bad: dict[str, Files],
        refused_ids: frozenset[str],
        scale: Scale,
        log: Log,
        look: Callable[[], None],
    ) -> None:
        """`look` compares pix.scores; it is called at moments when a decision could change.

        The tables refuse the rows of `refused_ids` for a day.
        """
        self.report, self.on_call = Report(), OnCall(site.cloud, log)
        self._cloud, self._instances, self._relay, self._scale, self._log = *site, scale, log
        self._good, self._bad, self._refused_ids = good, bad, refused_ids
        self._store = StoreFaults(site.cloud, self.on_call, scale, look)
        self._blobs = site.cloud.models()

    def steps(self) -> list[Step]:
        """Return the faults in order; swaps and kills are spread over the whole stream."""
        versions = list(self._good)[1:]  # the first one serves from the start
        found = [Step((n + 0.5) / len(versions), partial(self.swap, v)) for n, v in enumerate(versions)]
        found += [Step((n + 0.7) / self._scale.kills, self.kill) for n in range(self._scale.kills)]
        found += [Step((n + 0.9) / len(self._bad), partial(self.corrupt, v)) for n, v in enumerate(self._bad)]
        found += [Step(0.2, self.disturb_bigquery), Step(0.45, self.stop_storage), Step(REFUSED[0], self.refuse_rows)]
        store = self._store
        found += [
            Step(0.3, store.freeze),
            Step(0.58, store.lose),
            Step(0.68, store.stop),
            Step(0.77, store.fail_over),
        ]
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
        self.on_call.wait(lambda: self._logged("model swapped", "to", version), f"{version} to serve")
        self._log(f"{version} serves")

    def kill(self) -> None:
        """Kill the functions of Pix and outcomes with SIGKILL; the local cloud restarts them."""
        for child in (*self._instances.score, self._cloud.functions["outcome"]):
            child.kill()
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
        self.on_call.wait(lambda: self._logged("model refused", "version", version), f"{version} to be refused")
        self.report.refused.add(version)
        assert before.version
        self._point(before.version, generation)
        self._log(f"{version} refused")

    def disturb_bigquery(self) -> None:
        """Let BigQuery refuse all calls, then answer slowly."""
        with self.on_call.fault("BigQuery refuses", self._scale.refuses):
            self._relay.refuses = True
        self._relay.refuses = False
        with self.on_call.fault("BigQuery is slow", self._scale.slow):
            self._relay.delay = 1.0
        self._relay.delay = 0.0

    def stop_storage(self) -> None:
        """Stop Cloud Storage and kill the function; it finds no model after its restart and decides by rules."""
        before = self._decided_by_rules()
        self._cloud.storage_server.stop(grace=0)
        self.kill()
        with self.on_call.fault("Cloud Storage is away", self._scale.away):
            pass
        self._log(f"{self._decided_by_rules() - before:,} rows were decided by rules alone")
        self._cloud.storage_server.start()
        self._cloud.storage_server.wait_ready()

    def refuse_rows(self) -> None:
        """Let the tables refuse all rows of some Pix, as before a change of their schema; the messages die."""
        self._relay.refused_ids = frozenset(each.encode() for each in self._refused_ids)
        self._log(f"BigQuery refuses the rows of {len(self._refused_ids)} Pix")

    def redrive_a_day_later(self) -> None:
        """Let a day pass on all clocks and in the store, mend the tables, and redrive the dead letters."""
        self._store.age(DAY)
        self._instances.put_ahead(DAY)
        self.on_call.ahead += DAY
        self._relay.refused_ids = frozenset()
        self._log("a day has passed")
        self.report.redriven = self.on_call.redrive()
        if not self.report.redriven:
            self.report.problems.append("there was no dead letter to redrive a day later")

    def retrain_on_a_full_disk(self) -> None:
        """Retrain while MLflow cannot store anything: the run must fail without moving the pointer."""
        before = self._blobs.read(POINTER)
        with full_disk(self._cloud.home / "mlflow" / "artifacts"):
            options = ("--config", str(self._config()), "--trials", "1", "--promote", "always")
            done = self.on_call.start("retrain", "--as-of", LABELLED.isoformat(), *options)
        after = self._blobs.read(POINTER)
        outcome = result_of(done.stdout)
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

    def _point(self, version: str, generation: int) -> int:
        pointer = Pointer(version=version, swapped_at=_now().isoformat())
        return self._blobs.write(POINTER, msgspec.json.encode(pointer), generation)

    def _logged(self, message: str, name: str, value: str) -> bool:
        """Return whether an instance of the score function has logged a message with a value."""
        words = (f'"{message}"', f'"{name}":"{value}"')
        logs = [child.log_path.read_text(errors="replace").splitlines() for child in self._instances.score]
        return any(all(word in line for word in words) for lines in logs for line in lines)

    def _decided_by_rules(self) -> int:
        return int(self.on_call.query("COUNTIF(model_version IS NULL)"))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
