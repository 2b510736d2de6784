"""The testbed of the measurements: bucket, BigQuery, Valkey, and the function in its deployed layout."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
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
from infra.local.bigquery.launch import bigquery_server
from infra.local.cloud import REMEMBERED_SECONDS, STATE_CALL_SECONDS
from infra.local.loopback import LOOPBACK, free_port
from infra.local.processes import ChildProcess, Supervisor
from infra.local.valkey.launch import valkey_server
from shared.adapters.gcs import GcsBlobs
from shared.adapters.key_file import KeyFileSigner
from shared.contract import tables
from shared.ports.blobs import Blobs
from shared.scoring.bundle import POINTER, Pointer, path
from shared.scoring.challenge import Challenge
from shared.settings import LOCAL_HMAC_KEY, Settings
from shared.wiring.models import models
from tests.benchmarks.speed.load import ACCEPTED, Load
from tests.benchmarks.speed.process import LOAD_CORE, SERVER_CORE, pinned
from tests.benchmarks.speed.revision import ROOT, Revision
from tests.benchmarks.speed.stub import Counts

PROJECT = "pix-bench"
OURS = Revision()
_PATIENCE_SECONDS = 60.0
_SCORED = "scored."
_SEQUENCES = "*{pix:*}n"
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
        """Count the scored transactions in the log, by degradation step."""
        return self.counted(_SCORED)

    def counted(self, prefix: str) -> dict[str, int]:
        """Return the counters in the log whose names have a prefix, without it; complete once it has stopped."""
        counted: Counter[str] = Counter()
        for line in self.child.output().splitlines():
            if '"message":"served"' in line:
                counted.update({name: n for name, n in json.loads(line).items() if name.startswith(prefix)})
        return {name.removeprefix(prefix): int(n) for name, n in counted.items()}


class Testbed:
    """A context that owns every process and stops all of them at its end."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._supervisor = Supervisor()
        self._storage_port, self._write_port, self._rest_port = free_port(), free_port(), free_port()
        self._staged: dict[tuple[Revision, str], Path] = {}

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

    def publish(
        self, bundle: Mapping[str, bytes], revision: Revision = OURS, challenge: Challenge | None = None
    ) -> None:
        """Store a bundle in the bucket of a revision and point to it, and to a challenger."""
        address = {"STORAGE_EMULATOR_HOST": f"http://{LOOPBACK}:{self._storage_port}"}
        with patch.dict(os.environ, address):
            client = storage.Client(project=PROJECT, credentials=AnonymousCredentials())
            if not client.bucket(_bucket(revision)).exists():
                client.create_bucket(_bucket(revision))
            blobs = self._models(revision)
            version = json.loads(bundle["manifest.json"])["version"]
            for name, data in bundle.items():
                blobs.write(path(version, name), data, if_generation=0)
            known = blobs.read(POINTER)
            pointer = Pointer(version, "2025-01-01T00:00:00Z", challenge=challenge)
            blobs.write(POINTER, msgspec.json.encode(pointer), known.generation if known else 0)

    def _models(self, revision: Revision) -> Blobs:
        """Return the bucket of a revision, which signs unless the revision is from before there were signatures."""
        bucket = GcsBlobs.connect(PROJECT, _bucket(revision))
        if not (revision.root / "shared" / "scoring" / "signature.py").exists():
            return bucket
        signer = KeyFileSigner.kept(self.home / "model-key.pem")
        return models(Settings(PROJECT, bucket=_bucket(revision), model_keys=signer.public_key), bucket, signer)

    def valkey(self, revision: Revision = OURS) -> str:
        """Start Valkey or Redis on the other core, open it for a revision, and return its address."""
        port = free_port()
        server = valkey_server(self.home / f"valkey-{port}", port=port)
        server.child.argv = pinned(LOAD_CORE, server.child.argv)
        self._supervisor.start(server.child)
        revision.open(server.url)
        return server.url

    def changes(self, store: str) -> int:
        """Return the number of changes of the history in a store: of transactions, decisions and outcomes."""
        with closing(Redis.from_url(store)) as client:
            return sum(int((client.get(key) or b"0 0").split()[1]) for key in client.keys(_SEQUENCES))

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

    def counts(self, table: str = "score_events") -> Counts:
        """Return the counts of a table of the stub."""
        with urllib.request.urlopen(f"{self.rest}/counts") as answer:
            return msgspec.json.decode(answer.read(), type=dict[str, Counts]).get(table, Counts())

    @contextmanager
    def function(
        self,
        first: bytes,
        settings: Mapping[str, str | int],
        revision: Revision = OURS,
        name: str = "score",
        core: int = SERVER_CORE,
    ) -> Iterator[Server]:
        """Run a function like the buildpack, and wait for its answer to the request `first`.

        That is: a staged folder, compiled byte code, and `functions-framework` with its options in the environment.
        `settings` replace the defaults of the revision.
        """
        env = self.environment(settings, revision) | {"FUNCTION_TARGET": name}
        folder = self.folder(revision, name)
        with self.server(name, ["functions-framework"], env, folder, first, revision.bin, core) as server:
            yield server

    def environment(self, settings: Mapping[str, str | int], revision: Revision = OURS) -> dict[str, str]:
        """Return the variables of a function whose `settings` replace the defaults of the revision."""
        own = Settings(
            PROJECT,
            LOCAL_HMAC_KEY,
            bucket=_bucket(revision),
            state_call_seconds=STATE_CALL_SECONDS,
            model_keys=KeyFileSigner.kept(self.home / "model-key.pem").public_key,
            state_claim_seconds=REMEMBERED_SECONDS,
            bigquery_storage_emulator_host=self.stub,
        )
        variables, defaults = replace(own, **settings).to_env(), Settings("").to_env()  # type: ignore[arg-type]  # replace() takes fields of all types
        env = {variable: value for variable, value in variables.items() if value != defaults[variable]}
        return env | {"STORAGE_EMULATOR_HOST": f"http://{LOOPBACK}:{self._storage_port}"}

    def folder(self, revision: Revision, name: str) -> Path:
        """Return the staged folder of a function."""
        if (revision, name) not in self._staged:
            self._staged[revision, name] = revision.stage(name, self.home / f"source-{name}{revision.suffix}")
        return self._staged[revision, name]

    @contextmanager
    def server(
        self,
        name: str,
        command: list[str],
        env: dict[str, str],
        folder: Path,
        first: bytes,
        programs: Path = OURS.bin,
        core: int = SERVER_CORE,
    ) -> Iterator[Server]:
        """Run a server among `programs` on a core; yield it once it has answered `first`."""
        port = free_port()
        program, *arguments = [each.format(port=port) for each in command]
        argv = pinned(core, [str(programs / program), *arguments])
        own = {
            "PORT": str(port),
            "HOST": LOOPBACK,
            "OMP_NUM_THREADS": "1",
            "PATH": f"{programs}:{os.environ['PATH']}",
        }
        child = ChildProcess(name, argv, log_path=self.home / f"{name}-{port}.log", env=env | own, cwd=folder)
        started = time.perf_counter()
        child.start()
        try:
            _first_answer(port, first, started + _PATIENCE_SECONDS, child)
            yield Server(port, child, time.perf_counter() - started)
        finally:
            child.stop()

    def load(self, server: Server, requests: Path, first: int, count: int, **options: float) -> Load:
        """Load a server from the other core. Raises NotAnswered unless every request was accepted."""
        return _accepted(_loaded(server, requests, first, count, options), count)

    def ask(self, server: Server, requests: Path, first: int, count: int, **options: float) -> Load:
        """Load a server of which some answers may be refusals."""
        return _figures(_loaded(server, requests, first, count, options))

    @contextmanager
    def stream(
        self, server: Server, requests: Path, first: int, count: int, rate: float
    ) -> Iterator[Callable[[], Load]]:
        """Load a server in open loop while the context lasts; yield a function that ends it and returns its figures.

        It raises NotAnswered unless every request that was sent was accepted, and some were left.
        """
        argv = _load_command(server, requests, first, count, {"rate": rate})
        child = ChildProcess("stream", argv, log_path=self.home / f"stream-{server.port}.log", cwd=ROOT)
        child.start()
        try:
            child.wait_ready()
            yield lambda: _ended(child)
        finally:
            child.stop()


def _bucket(revision: Revision) -> str:
    return Settings(PROJECT).bucket + revision.suffix


def _load_command(server: Server, requests: Path, first: int, count: int, options: Mapping[str, float]) -> list[str]:
    more = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    run = ["--port", str(server.port), "--requests", str(requests), "--first", str(first), "--count", str(count)]
    return pinned(LOAD_CORE, [sys.executable, "-m", "tests.benchmarks.speed.load", *run, *more])


def _loaded(server: Server, requests: Path, first: int, count: int, options: Mapping[str, float]) -> str:
    """Return the output of a load. Raises NotAnswered if it fails."""
    argv = _load_command(server, requests, first, count, options)
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise NotAnswered(done.stderr.decode()[-2000:])
    return done.stdout.decode()


def _ended(stream: ChildProcess) -> Load:
    if stream.returncode is not None:
        raise NotAnswered(f"the stream ended before the load beside it: {stream.log_tail()}")
    stream.stop()
    return _accepted(stream.output(), 0)


def _accepted(output: str, count: int) -> Load:
    """Return the figures in the last line of a load. Raises NotAnswered unless all requests were accepted."""
    load = _figures(output)
    if sum(n for status, n in load.statuses.items() if status in ACCEPTED) < max(count, load.answered):
        raise NotAnswered(f"statuses {load.statuses}")
    return load


def _figures(output: str) -> Load:
    try:
        return msgspec.json.decode(output.splitlines()[-1], type=Load)
    except msgspec.MsgspecError:
        raise NotAnswered(output[-2000:]) from None


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
