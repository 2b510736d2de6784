"""A process that forks jobs which move the pointer, so that a test can race and kill many of them cheaply.

Each line of standard input is a job, `{"job": ..., "seed": ..., "gate": ...}`, answered by its process id; an
empty line is answered once all jobs have ended. A job that ends by itself writes its outcome to the file of outcomes.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from shared.adapters.gcs import GcsBlobs
from shared.adapters.memory.learning import MemoryQueries, MemoryRuns
from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.errors import BundleRefused, Misconfigured, PreconditionFailed
from shared.learning.config import Retention
from shared.learning.lifecycle.arm_counts import ArmRows
from shared.learning.lifecycle.challenge import ChallengeCommands
from shared.learning.lifecycle.guards import ArmCounts
from shared.learning.lifecycle.operator_move import OperatorMove
from shared.learning.lifecycle.pointer import MoveCause, previous_version, read_pointer, swap
from shared.learning.lifecycle.reconcile import reconcile
from shared.learning.lifecycle.release import ReleasePorts, publish_and_record, swap_and_record
from shared.learning.lifecycle.retire import Retiring, retire, stored_bundles
from shared.learning.specs.ramp import GuardSpec, RampSpec, StageSpec
from shared.scoring.bundle import MANIFEST, Manifest
from shared.scoring.challenge import CHALLENGER, CHAMPION
from shared.scoring.rules import Rules
from shared.scoring.signed_blobs import SignedBlobs
from tests.model_keys import in_trust
from tests.unit.learning.bundles import small_bundle
from tests.unit.learning.synthetic import CONFIG

PROJECT = "bank"
BUCKET = "pix-models"
RAMP = RampSpec(
    [StageSpec(0.01, 0), StageSpec(0.1, 0), StageSpec(0.5, 0), StageSpec(1.0, 0)],
    1,
    GuardSpec(1e-4, 100, 1.5, 0.5, 1.5, 1.5, 0.01, 1_000, 0.05),
)
APPEND_SECONDS = 0.03  # as over a network, so that jobs are killed between the pointer and the ledger too


class FileLedger:
    """`shared.learning.ports.Ledger` in a file that several processes append to."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def append(self, row: LedgerRow) -> None:
        """Append a row by one write, which is done or not when the process is killed."""
        time.sleep(APPEND_SECONDS)
        append(self._file, msgspec.json.encode(row))

    def stored(self) -> list[LedgerRow]:
        """Return the rows as they were appended."""
        return [msgspec.json.decode(line, type=LedgerRow) for line in self._file.read_bytes().splitlines()]

    def rows(self, since: dt.datetime) -> list[LedgerRow]:
        """Return the rows from then on, oldest first, one for all that are alike."""
        recent = [row for row in self.stored() if row.recorded_at >= micros(since)]
        return sorted(dict.fromkeys(recent), key=lambda row: row.recorded_at)


def append(file: Path, line: bytes) -> None:
    """Append a line by one write."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, line + b"\n")
    finally:
        os.close(handle)


def bucket(url: str) -> SignedBlobs:
    """Return the bucket behind the official client, in which all jobs sign by the key of the tests."""
    client = Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": url})
    return in_trust(GcsBlobs(client.bucket(BUCKET)))


def now() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.UTC)


class Racer:
    """One job in a process of its own."""

    def __init__(self, blobs: SignedBlobs, ledger: FileLedger, seed: int, gate: str) -> None:
        self._blobs, self._ledger, self._gate = blobs, ledger, Path(gate)
        self._chance = random.Random(seed)
        self._name = f"racer-{seed}"
        self._operator = OperatorMove(blobs, MemoryRuns, ledger, now, self._name)
        rows = ArmRows(MemoryQueries(self._arms), PROJECT, "pix", Rules([]))
        self._tests = ChallengeCommands(blobs, ledger, rows, now, self._name)

    def _arms(self, _: str, __: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the counts of arms that trip a guard in one of two looks."""
        own = ArmCounts(1_000, held=self._chance.choice([10, 500]))
        arms = {CHALLENGER: own, CHAMPION: ArmCounts(1_000, held=10)}
        shown = {"side": "PAYER", "is_recent": False, "good": 1_000.0, "good_rejected": 0.0}
        return [{"arm": arm, **shown, **msgspec.structs.asdict(each)} for arm, each in arms.items()]

    def run(self, job: str) -> str:
        """Return the outcome of the job."""
        try:
            getattr(self, job)()
        except PreconditionFailed:
            return "LOST"
        except (BundleRefused, Misconfigured) as error:
            return type(error).__name__
        return "WON"

    def retrain(self) -> None:
        """Publish a version and point to it."""
        state = read_pointer(self._blobs)
        runs = MemoryRuns()
        reconcile(self._blobs, self._blobs, self._ledger, runs, runs, state, now())
        at = now()
        version = f"{at:%H%M%S%f}-{self._name}"
        files = small_bundle(version, slope=self._chance.random(), created_at=at.isoformat(), actor=self._name)
        ports = ReleasePorts(self._blobs, self._ledger, lambda: runs)
        publish_and_record(ports, msgspec.json.decode(files[MANIFEST], type=Manifest), files)
        swap_and_record(ports, state, version, MoveCause(now(), self._name, "better"))

    def promote(self) -> None:
        """Point to some complete version."""
        found = [bundle.version for bundle in stored_bundles(self._blobs.listed("models/")) if bundle.complete]
        self._operator.promote(self._chance.choice(found), "by hand")

    def rollback(self) -> None:
        """Return to the previous version."""
        self._operator.rollback("by hand")

    def challenge(self) -> None:
        """Try one of two challengers, in the shadow or for a share; a test of the other one stands in the way."""
        found = [bundle.version for bundle in stored_bundles(self._blobs.listed("models/")) if bundle.complete]
        state = read_pointer(self._blobs)
        others = [version for version in found if version != state.version]
        share = self._chance.choice([0.0, 0.01, 0.1, 0.5, 1.0])
        self._tests.begin(self._chance.choice(others[-2:]), share, "try")

    def watch(self) -> None:
        """Look at the guards of the test that runs: chance says whether one trips or the ramp goes on."""
        self._tests.watch(RAMP, CONFIG.costs.by_side)

    def stop(self) -> None:
        """End the test that runs."""
        self._tests.stop("enough")

    def duel(self) -> None:
        """Return to the previous version, once all racers have read the same pointer and the gate is open."""
        state = read_pointer(self._blobs)
        Path(f"{self._gate}.{self._name}").touch()
        while not self._gate.exists():
            time.sleep(0.002)
        swap(self._blobs, state, previous_version(state), MoveCause(now(), self._name, "first"))

    def retire(self) -> None:
        """Remove all versions but the last two and those in the pointer."""
        retiring = Retiring(self._blobs, self._blobs, self._ledger, now, self._name)
        retire(retiring, Retention(keep=2, days=0), lambda _: None)


def serve(url: str, ledger: Path, outcomes: Path) -> None:
    """Fork a job for each line of standard input."""
    for line in sys.stdin:
        if not line.strip():
            while True:
                try:
                    os.wait()
                except ChildProcessError:
                    break
            print(flush=True)
            continue
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            outcome = Racer(bucket(url), FileLedger(ledger), order["seed"], order["gate"]).run(order["job"])
            append(outcomes, json.dumps({**order, "outcome": outcome}).encode())
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
