"""The testbed of the measurements: bucket, BigQuery, Valkey, and the function in its deployed layout."""

from __future__ import annotations

import compileall
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self
from unittest.mock import patch

import msgspec
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage
from redis import Redis

from infra.deploy.migrate import make
from infra.deploy.stage import stage
from infra.local.bigquery.launch import bigquery_server
from infra.local.loopback import LOOPBACK, free_port
from infra.local.processes import ChildProcess, Supervisor
from infra.local.valkey.launch import valkey_server
from shared.adapters.gcs import GcsBlobs
from shared.adapters.valkey.store import ValkeyStore
from shared.contract import tables
from shared.scoring.bundle import POINTER, Pointer, path
from shared.settings import LOCAL_HMAC_KEY, Settings
from tests.benchmarks.speed.load import Load
from tests.benchmarks.speed.process import LOAD_CORE, SERVER_CORE, pinned
from tests.benchmarks.speed.stub import Counts

ROOT = Path(__file__).resolve().parents[3]
PROJECT = "pix-bench"
_BIN = Path(sys.executable).parent
_SCORED = "scored."
_SEQUENCES = "{pix:*}n"
"""The pattern of `shared.adapters.valkey.wire.SEQUENCE_KEY` in any layout of history."""


class NotAnswered(Exception):
    """A started server did not answer as expected."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load: its port, its process, and the seconds from start to first answer."""

    port: int
    child: ChildProcess
    first_answer_s: float

    def scored(self) -> dict[str, int]:
        """Count the scored transactions in the log, by degradation step; complete once the server has stopped."""
        counted: Counter[str] = Counter()
        for line in self.child.output().splitlines():
            if '"message":"served"' in line:
                counted.update({name: n for name, n in json.loads(line).items() if name.startswith(_SCORED)})
        return {name.removeprefix(_SCORED): int(n) for name, n in counted.items()}


class Testbed:
    """A context that owns every process and stops all of them at its end."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._supervisor = Supervisor()
        self._storage_port, self._write_port, self._rest_port = free_port(), free_port(), free_port()

    def __enter__(self) -> Self:
        self._supervisor.__enter__()
        objects = self.home / "objects"
        objects.mkdir()
        serve = ["-m", "infra.local.storage", "--root", str(objects), "--port", str(self._storage_port)]
        self.child("storage", serve)
        stub = ["--grpc-port", str(self._write_port), "--rest-port", str(self._rest_port)]
        self.child("stub", ["-m", "tests.benchmarks.speed.stub", *stub])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._supervisor.__exit__(kind, error, trace)

    @property
    def stub(self) -> str:
        """Return the gRPC address of the stub."""
        return f"{LOOPBACK}:{self._write_port}"

    @property
    def rest(self) -> str:
        """Return the REST address of the stub."""
        return f"http://{LOOPBACK}:{self._rest_port}"

    def child(self, name: str, arguments: list[str]) -> None:
        """Start a Python program on the core of the load generator."""
        argv = pinned(LOAD_CORE, [sys.executable, *arguments])
        self._supervisor.start(ChildProcess(name, argv, log_path=self.home / f"{name}.log", cwd=ROOT))

    def publish(self, bundle: Mapping[str, bytes]) -> None:
        """Store a bundle in the bucket and point to it."""
        address = {"STORAGE_EMULATOR_HOST": f"http://{LOOPBACK}:{self._storage_port}"}
        with patch.dict(os.environ, address):
            client = storage.Client(project=PROJECT, credentials=AnonymousCredentials())
            client.create_bucket(Settings(PROJECT).bucket)
            blobs = GcsBlobs.connect(PROJECT, Settings(PROJECT).bucket)
            version = json.loads(bundle["manifest.json"])["version"]
            for name, data in bundle.items():
                blobs.write(path(version, name), data, if_generation=0)
            blobs.write(POINTER, msgspec.json.encode(Pointer(version, "2025-01-01T00:00:00Z")), if_generation=0)

    def valkey(self) -> str:
        """Start Valkey or Redis on the other core and return its address."""
        server = valkey_server(self.home)
        server.child.argv = pinned(LOAD_CORE, server.child.argv)
        self._supervisor.start(server.child)
        with closing(ValkeyStore.connect(server.url, 86_400)) as load:
            load.open()
        return server.url

    def changes(self, store: str) -> int:
        """Return the number of changes of the history in a store: of transactions, decisions and outcomes."""
        with closing(Redis.from_url(store)) as client:
            return sum(int(client.get(key) or 0) for key in client.keys(_SEQUENCES))

    def bqemulator(self) -> str:
        """Start bqemulator with the tables and return its gRPC address."""
        server = bigquery_server(self.home / "bigquery", self.home / "objects", PROJECT)
        server.child.argv = pinned(LOAD_CORE, server.child.argv)
        self._supervisor.start(server.child)
        with patch.dict(os.environ, {"BIGQUERY_EMULATOR_HOST": server.rest_url}):
            self._bigquery = bigquery.Client(project=PROJECT, credentials=AnonymousCredentials())
            make(self._bigquery, "pix", tables.tables())
        return server.grpc_endpoint

    def rows(self) -> int:
        """Return the number of rows in bqemulator."""
        (row,) = self._bigquery.query("SELECT COUNT(*) AS n FROM pix.score_events").result()
        return int(row.n)

    def counts(self) -> Counts:
        """Return the counts of the stub."""
        with urllib.request.urlopen(f"{self.rest}/counts") as answer:
            return msgspec.json.decode(answer.read(), type=Counts)

    @contextmanager
    def function(self, first: bytes, **settings: str | int) -> Iterator[Server]:
        """Run the score function like the buildpack, and wait for its answer to the request `first`.

        That is: a staged folder, compiled byte code, and `functions-framework` with its options in the environment.
        `settings` replace defaults.
        """
        folder = stage("score", self.home / "source")
        compileall.compile_dir(folder, quiet=1)
        own = Settings(PROJECT, hmac_key=LOCAL_HMAC_KEY, bigquery_storage_emulator_host=self.stub)
        address = {"STORAGE_EMULATOR_HOST": f"http://{LOOPBACK}:{self._storage_port}", "FUNCTION_TARGET": "score"}
        env = {**replace(own, **settings).to_env(), **address}  # type: ignore[arg-type]  # replace() takes fields of all types
        with self.server("score", ["functions-framework"], env, folder, first) as server:
            yield server

    @contextmanager
    def server(
        self, name: str, command: list[str], env: dict[str, str], folder: Path, first: bytes, patience: float = 60
    ) -> Iterator[Server]:
        """Run a server of .venv/bin on the measured core; yield it once it has answered `first`."""
        port = free_port()
        program, *arguments = [each.format(port=port) for each in command]
        argv = pinned(SERVER_CORE, [str(_BIN / program), *arguments])
        own = {"PORT": str(port), "HOST": LOOPBACK, "OMP_NUM_THREADS": "1", "PATH": f"{_BIN}:{os.environ['PATH']}"}
        child = ChildProcess(name, argv, log_path=self.home / f"{name}.log", env=env | own, cwd=folder)
        started = time.perf_counter()
        child.start()
        try:
            _first_answer(port, first, started + patience, child)
            yield Server(port, child, time.perf_counter() - started)
        finally:
            child.stop()

    def load(self, server: Server, requests: Path, first: int, count: int, **options: float) -> Load:
        """Load a server from the other core. Raises NotAnswered unless every request was accepted."""
        more = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        run = ["--port", str(server.port), "--requests", str(requests), "--first", str(first), "--count", str(count)]
        argv = pinned(LOAD_CORE, [sys.executable, "-m", "tests.benchmarks.speed.load", *run, *more])
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
        if done.returncode:
            raise NotAnswered(done.stderr.decode()[-2000:])
        load = msgspec.json.decode(done.stdout, type=Load)
        if sum(n for status, n in load.statuses.items() if status in (200, 204)) < count:
            raise NotAnswered(f"statuses {load.statuses}; see {self.home}")
        return load


def _first_answer(port: int, request: bytes, until: float, child: ChildProcess) -> None:
    """Send a request repeatedly until it is accepted. Raises NotAnswered."""
    while True:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=30) as connection:
                connection.sendall(request)
                status = connection.recv(65_536)[9:12]
                if status in (b"200", b"204"):
                    return
        except OSError:
            pass
        if time.perf_counter() > until or child.returncode is not None:
            raise NotAnswered(f"{child.name}: {child.log_tail()}")
        time.sleep(0.002)
