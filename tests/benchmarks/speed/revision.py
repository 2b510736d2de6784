"""A checkout whose score function is measured: this one, or the baseline of a comparison.

A baseline brings everything that depends on its layout: its staged source, its model, its simulated transactions and
its way to open a store. Its own code makes them, run by the interpreter of its .venv, or by ours if it has none.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.speed.events import Prepared

ROOT = Path(__file__).resolve().parents[3]
_MODEL = "tests/benchmarks/speed/model.py"
_TRAIN = """
import pathlib, sys
from tests.benchmarks.speed import model
for name, data in model.train().bundle.items():
    pathlib.Path(sys.argv[1], name).write_bytes(data)
"""
_PREPARE = """
import json, pathlib, sys
from tests.benchmarks.speed import events
prepared = events.prepare(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
print(json.dumps([prepared.transactions, prepared.accounts, prepared.message_bytes]))
"""
_OPEN = """
import inspect, sys
from shared.adapters.valkey.store import ValkeyStore
from shared.contract import pseudonyms
from shared.settings import LOCAL_HMAC_KEY
own = {}
if "hmac_key" in inspect.signature(ValkeyStore.connect).parameters:
    own["hmac_key"] = pseudonyms.fingerprint_of(LOCAL_HMAC_KEY.encode())
ValkeyStore.connect(sys.argv[1], 86_400, **own).open()
"""
"""Open the store; that of an older revision has one history, whatever the HMAC key."""


class NotARevision(Exception):
    """A directory is not a checkout that can be measured."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A checkout, and the suffix by which its files and buckets differ from those of others."""

    root: Path = ROOT
    suffix: str = ""

    @property
    def bin(self) -> Path:
        """Return the folder of its programs."""
        own = self.root / ".venv" / "bin"
        return own if (own / "python").exists() else Path(sys.executable).parent

    def stage(self, function: str, target: Path) -> Path:
        """Write the source folder of a function, with compiled byte code, and return it. Raises NotARevision."""
        self._run("-m", "infra.deploy.stage", function, str(target))
        self._run("-m", "compileall", "-q", str(target))
        return target

    def train(self, folder: Path) -> dict[str, bytes]:
        """Return the bundle of its benchmark's model. Raises NotARevision."""
        folder.mkdir()
        self._run("-c", _TRAIN, str(folder))
        return {file.name: file.read_bytes() for file in folder.iterdir()}

    def prepare(self, path: Path, transactions: int) -> Prepared:
        """Write push requests for this many transactions of its simulator. Raises NotARevision."""
        return Prepared(path, *json.loads(self._run("-c", _PREPARE, str(path), str(transactions))))

    def open(self, store: str) -> None:
        """Open an empty Valkey or Redis for its layout of history. Raises NotARevision."""
        self._run("-c", _OPEN, store)

    def _run(self, *arguments: str) -> bytes:
        if not (self.root / _MODEL).exists():  # Python would find the modules of an installed revision instead
            raise NotARevision(f"{self.root} has no {_MODEL}")
        command = [str(self.bin / "python"), *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, check=False)
        if done.returncode:
            raise NotARevision(f"{self.root}: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout
