"""The local cloud: Pub/Sub, Cloud Storage, Valkey, BigQuery, their resources, and the functions."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from infra.deploy.migrate import make
from infra.deploy.stage import ASKED, DESK
from infra.local import desk, jobs
from infra.local.bigquery.launch import bigquery_server
from infra.local.environment import bypass
from infra.local.experiments import database, tracking_uri
from infra.local.loopback import LOOPBACK, claim_port
from infra.local.processes import ChildProcess, Supervisor, answers_http
from infra.local.provision import create_buckets, create_subscription, create_topics
from infra.local.pubsub.launch import PubSubKind, pubsub_server
from infra.local.storage.launch import storage_server
from infra.local.valkey.launch import valkey_server
from shared.adapters.gcs import GcsBlobs
from shared.adapters.key_file import KeyFileSigner
from shared.adapters.valkey.store import ValkeyStore
from shared.contract import tables
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.learning.lifecycle.pointer import read_pointer
from shared.scoring.signed_blobs import SignedBlobs
from shared.settings import LOCAL_HMAC_KEY, STOPPED, Settings
from shared.wiring.common import DAY_SECONDS, key_fingerprint
from shared.wiring.models import model_signer, models

ROOT = Path(__file__).resolve().parents[2]

STATE_CALL_SECONDS = 5.0
"""All processes share one machine here, so a call may have to wait for a processor."""

AHEAD_SECONDS = 366 * 86_400.0
BEHIND_DAYS = 36_500.0
"""Events of a file or a test have dates of their own, and the emulator takes them all."""

REMEMBERED_SECONDS = 1_000_000_000
"""Seconds for which history remembers a Pix: those of a file or a test are of the past, and none is looked up."""

MODEL_KEY = "model-key.pem"
"""File of a world's private key, which signs its models; production has none (Cloud KMS)."""

FUNCTIONS = {"score": TRANSACTIONS, "outcome": OUTCOMES, "label": FEEDBACK}
"""The functions that take the messages of a topic; each is the name of its subscription, too."""

_EXPORTED = (
    "PIX_HMAC_KEY",
    "PIX_MODEL_KEYS",
    "PIX_MODEL_SIGNER",
    "PIX_STATE",
    "PIX_AHEAD_SECONDS",
    "PIX_BEHIND_DAYS",
    "PIX_MATURITY_DAYS",
    "PIX_OUTCOMES",
    "PIX_PUBLISH_DECISIONS",
    "MLFLOW_TRACKING_URI",
)

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PortNumbers:
    """TCP ports of the local cloud; 0 takes any free one."""

    pubsub: int = 0
    storage: int = 0
    bigquery: int = 0
    bigquery_grpc: int = 0
    state: int = 0
    score: int = 0
    decide: int = 0
    outcome: int = 0
    label: int = 0
    console: int = 0

    def claimed(self) -> PortNumbers:
        """Return the same ports, with a free one for each 0. Raises PortInUse."""
        return PortNumbers(
            **{name: claim_port(getattr(self, name), f"--{name.replace('_', '-')}-port") for name in self.__slots__}
        )


class LocalCloud:
    """A context in which the local cloud runs. Its files are in `home`; all processes end with the context.

    Inside, the environment of this process leads Google's client libraries here. `on_step` gets the name of each
    component before it starts. `settings` replace fields of Settings. If `persistent`, `home` is a world: its rows,
    history and models continue at the next start. `bigquery_memory` limits the memory of the local BigQuery (`8GB`).
    """

    def __init__(
        self,
        home: Path,
        ports: PortNumbers = PortNumbers(),
        pubsub: PubSubKind | None = None,
        on_step: Step = lambda _: None,
        *,
        persistent: bool = False,
        bigquery_memory: str = "",
        **settings: float | str,
    ) -> None:
        self.home = home.resolve()
        self.ports = ports.claimed()
        self.functions: dict[str, ChildProcess] = {}
        self.rebuilt = 0
        """Rows from which history was rebuilt at this start."""
        self._counts = False  # history is loaded, rebuilt or empty, and belongs to the rows
        self._on_step = on_step
        self._supervisor = Supervisor()
        self._valkey = valkey_server(self.home, port=self.ports.state, persistent=persistent)
        self.settings = _settings(self._valkey.url)
        self._override(settings)
        self._sign_models()
        objects = self.home / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        self._pubsub = pubsub_server(self.home, pubsub, self.ports.pubsub)
        self._storage = storage_server(self.home, objects, self.ports.storage)
        self._bigquery = bigquery_server(
            self.home,
            objects,
            self.settings.project,
            self.ports.bigquery,
            self.ports.bigquery_grpc,
            persistent=persistent,
            memory=bigquery_memory,
        )
        self._override(
            {
                "bigquery_emulator_host": self._bigquery.rest_url,
                "bigquery_storage_emulator_host": self._bigquery.grpc_endpoint,
            }
        )

    def __enter__(self) -> Self:
        self._supervisor.__enter__()
        self._before = {name: os.environ.get(name) for name in self.addresses}
        os.environ.update(self.addresses)
        try:
            self._start_servers()
            self._create_resources()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._supervisor.__exit__(kind, error, trace)
        if self._valkey.dump and self._counts and self._valkey.child.returncode == 0:
            self._valkey.dump.saved()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    @property
    def pubsub_kind(self) -> PubSubKind:
        """Return the kind of Pub/Sub that runs."""
        return self._pubsub.kind

    @property
    def addresses(self) -> dict[str, str]:
        """Return the variables through which Google's client libraries find the local cloud."""
        return {
            "GOOGLE_CLOUD_PROJECT": self.settings.project,
            **self._pubsub.addresses,
            **self._storage.addresses,
            **self._bigquery.addresses,
        }

    @property
    def exports(self) -> dict[str, str]:
        """Return the variables for another shell, for clients and for functions or jobs that are started there."""
        own = self.environment
        return {**self.addresses, **{name: own[name] for name in _EXPORTED}, **bypass(os.environ)}

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of functions and jobs in the local cloud."""
        database(self.home).parent.mkdir(parents=True, exist_ok=True)
        uri = tracking_uri(self.home)
        own = self.settings.to_env()
        replaced = {name: own[name] for name in self.addresses if own.get(name)}  # such as by a relay to a server
        return {
            **own,
            **self.addresses,
            **replaced,
            "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_REGISTRY_URI": uri,
        }

    @property
    def state_server(self) -> ChildProcess:
        """Return the process of Valkey."""
        return self._valkey.child

    @property
    def storage_server(self) -> ChildProcess:
        """Return the process of Cloud Storage."""
        return self._storage.child

    @property
    def bigquery_server(self) -> ChildProcess:
        """Return the process of BigQuery."""
        return self._bigquery.child

    def bigquery(self) -> bigquery.Client:
        """Return a client of the local BigQuery."""
        return bigquery.Client(project=self.settings.project, credentials=AnonymousCredentials())

    def scored(self) -> int:
        """Return the number of rows of `score_events`."""
        sql = f"SELECT COUNT(*) FROM {self.settings.dataset}.score_events"  # noqa: S608 (dataset of our own)
        return int(next(iter(self.bigquery().query(sql).result()))[0])

    def champion(self) -> str | None:
        """Return the version of the model that serves, None if there is none."""
        return read_pointer(self.models()).version

    def models(self, bucket: str = "") -> SignedBlobs:
        """Return the bucket of models, or another one of models, in which this world's key signs."""
        own = replace(self.settings, bucket=bucket or self.settings.bucket)
        return models(own, GcsBlobs.connect(own.project, own.bucket), model_signer(own))

    def run_job(self, name: str, *arguments: str) -> str:
        """Run a job and return its result as JSON. Raises JobFailed."""
        return jobs.run(name, *arguments, environment=self.environment)

    def start_functions(self, *, pull: bool = False, **settings: float | str) -> None:
        """Start the functions under functions-framework, and subscribe them to their topics.

        With `pull` they are workers, which pull; the port of each then answers probes alone.
        """
        self._override(settings)
        for name, topic in FUNCTIONS.items():
            self._on_step(f"{'worker' if pull else 'function'} {name}")
            port, url = getattr(self.ports, name), self.address(name)
            self.functions[name] = self._child(name, url, _worker(name, port) if pull else _function(name, port))
            if pull:  # a worker ends if there is no subscription
                create_subscription(self.settings.project, name, topic, "", self.pubsub_kind)
            self._supervisor.start(self.functions[name])
            if not pull:  # a push to a function that does not listen yet would wait for its back-off
                create_subscription(self.settings.project, name, topic, url, self.pubsub_kind)
        for name in ASKED:
            self._on_step(f"function {name}")
            port = getattr(self.ports, name)
            self.functions[name] = self._child(name, self.address(name), _function(name, port))
            self._supervisor.start(self.functions[name])

    def address(self, function: str) -> str:
        """Return the URL of a function."""
        return f"http://{LOOPBACK}:{getattr(self.ports, function)}/"

    def start_desk(self, **settings: float | str) -> str:
        """Start the case desk and return its address; `settings` replace fields of DeskSettings."""
        self._on_step(f"function {DESK}")
        port = self.ports.console
        url = f"http://{LOOPBACK}:{port}/"
        child = self._child(DESK, f"{url}ready", _function(DESK, port), desk.environment(**settings))
        self._supervisor.start(child)
        self.functions[DESK] = child
        return url

    def start(self, server: ChildProcess) -> None:
        """Start and own a server beside those of the cloud."""
        self._on_step(server.name)
        self._supervisor.start(server)

    def wait(self) -> None:
        """Wait until a signal arrives. Raises ChildDied if a server ends by itself."""
        self._supervisor.wait()

    def _override(self, settings: Mapping[str, float | str]) -> None:
        self.settings = replace(self.settings, **settings)  # type: ignore[arg-type] # fields differ in type

    def _sign_models(self) -> None:
        """Let the key of this world, made with it, sign its models."""
        file = self.home / MODEL_KEY
        keys = KeyFileSigner.kept(file).public_key
        self.settings = replace(self.settings, model_keys=keys, model_signer=str(file))

    def _start_servers(self) -> None:
        for server in (self._pubsub, self._storage, self._valkey, self._bigquery):
            self._on_step(f"{server.child.name} ({server.kind})")
            self._supervisor.start(server.child)

    def _create_resources(self) -> None:
        self._on_step("tables, buckets and topics")
        settings = self.settings
        views = tables.views(settings.project, settings.dataset, settings.maturity_days)
        make(self.bigquery(), settings.dataset, tables.tables(), views)
        create_buckets(settings.project, (settings.bucket, settings.data_bucket))
        create_topics(settings.project)
        self._open_history()

    def _open_history(self) -> None:
        """Let history count: as the dump has it, else rebuilt from the tables, else from nothing."""
        dump = self._valkey.dump
        if dump and dump.found:
            dump.loaded()
        elif dump and (rows := self.scored()):
            self._on_step(f"history, rebuilt from {rows:,} rows because the last stop was not clean")
            self.run_job("repair", "--settle", "0")
            self.rebuilt = rows
        else:
            seconds, key = self.settings.state_record_days * DAY_SECONDS, key_fingerprint(self.settings)
            with closing(ValkeyStore.connect(self._valkey.url, seconds, hmac_key=key or "")) as store:
                store.open()
        self._counts = True

    def _child(
        self, name: str, url: str, command: list[str], variables: Mapping[str, str] = MappingProxyType({})
    ) -> ChildProcess:
        return ChildProcess(
            name,
            [sys.executable, "-m", *command],
            log_path=self.home / f"{name}.log",
            ready=answers_http(url),
            env={**self.environment, "OTEL_SERVICE_NAME": f"pix-{name}", **variables, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            restart=True,
        )


def _function(name: str, port: int) -> list[str]:
    """Return the module and arguments of a function; the script functions-framework keeps a moved checkout's path."""
    source = str(ROOT / "functions" / name / "main.py")
    return ["functions_framework", "--source", source, "--target", name, "--host", LOOPBACK, "--port", str(port)]


def _worker(name: str, port: int) -> list[str]:
    """Return the module and arguments of a worker."""
    return [f"functions.{name}.pull", "--health-port", str(port)]


def _settings(state: str) -> Settings:
    return Settings(
        project="pix-local",
        hmac_key=LOCAL_HMAC_KEY,
        state=state,
        state_call_seconds=STATE_CALL_SECONDS,
        ahead_seconds=AHEAD_SECONDS,
        behind_days=BEHIND_DAYS,
        state_claim_seconds=REMEMBERED_SECONDS,
        publish_decisions=STOPPED,
    )


def export_lines(variables: Mapping[str, str]) -> str:
    """Return the commands that set the variables in another shell.

    >>> export_lines({"A": "1"})
    'export A=1'
    """
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
