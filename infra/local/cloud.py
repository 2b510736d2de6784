"""The whole local cloud: Pub/Sub, Cloud Storage, BigQuery, Valkey, topics, tables and the two functions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from google.api_core.exceptions import AlreadyExists, Conflict
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.protobuf.duration_pb2 import Duration

from infra.deploy.migrate import make
from infra.local.bigquery.launch import BigQueryServer
from infra.local.loopback import LOOPBACK, claim_port
from infra.local.processes import ChildProcess, Supervisor, answers_http
from infra.local.pubsub.launch import Kind, pubsub_server
from infra.local.valkey_server import valkey_server
from shared.adapters.valkey.load import ValkeyLoad
from shared.contract import tables
from shared.contract.topics import FEEDBACK, TRANSACTIONS
from shared.settings import LOCAL_HMAC_KEY, Settings
from shared.wiring.common import DAY_SECONDS

ROOT = Path(__file__).resolve().parents[2]
DEAD_LETTERS = "-dead"
MAX_DELIVERY_ATTEMPTS = 20  # with the back-off below: about three minutes until a message counts as dead
ACK_DEADLINE_SECONDS = 60
STATE_CALL_SECONDS = 5.0  # everything shares one machine here, so a call may have to wait for a processor
AHEAD_SECONDS = 366 * 86_400.0  # events of a file or a test have dates of their own
Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the local cloud; 0 takes any that is free."""

    pubsub: int = 0
    storage: int = 0
    bigquery: int = 0
    bigquery_grpc: int = 0
    state: int = 0
    score: int = 0
    label: int = 0

    def claimed(self) -> Ports:
        """Return the same ports, with a free one for each 0. Raises PortInUse."""
        return Ports(
            **{name: claim_port(getattr(self, name), f"--{name.replace('_', '-')}-port") for name in self.__slots__}
        )


class LocalCloud:
    """A context in which the local cloud runs. Its files are under `home`; everything ends with the context.

    Inside, the environment of this process leads Google's client libraries here. `on_step` is told what is started.
    """

    def __init__(
        self,
        home: Path,
        ports: Ports = Ports(),
        pubsub: Kind | None = None,
        on_step: Step = lambda _: None,
        **settings: float | str,
    ) -> None:
        self.home = home.resolve()
        self.ports = ports.claimed()
        self._valkey = valkey_server(self.home, port=self.ports.state)
        own = Settings(
            project="pix-local",
            hmac_key=LOCAL_HMAC_KEY,
            state=self._valkey.url,
            state_call_seconds=STATE_CALL_SECONDS,
            ahead_seconds=AHEAD_SECONDS,
        )
        self.settings = replace(own, **settings)  # type: ignore[arg-type]
        self._on_step = on_step
        self._supervisor = Supervisor()
        self._pubsub = pubsub_server(self.home, pubsub, self.ports.pubsub)
        self._bigquery = BigQueryServer(self.ports.bigquery, self.ports.bigquery_grpc)
        self.settings = replace(
            self.settings,
            bigquery_emulator_host=self._bigquery.rest_url,
            bigquery_storage_emulator_host=self._bigquery.grpc_endpoint,
        )
        self.functions: dict[str, ChildProcess] = {}

    def __enter__(self) -> Self:
        self._supervisor.__enter__()
        self._before = {name: os.environ.get(name) for name in self.addresses}
        os.environ.update(self.addresses)
        try:
            self._start_servers()
            self._make_resources()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._supervisor.__exit__(kind, error, trace)
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    @property
    def pubsub_kind(self) -> Kind:
        """Return which Pub/Sub runs."""
        return self._pubsub.kind

    @property
    def addresses(self) -> dict[str, str]:
        """Return the variables by which Google's client libraries find the local cloud."""
        return {
            "GOOGLE_CLOUD_PROJECT": self.settings.project,
            "PUBSUB_EMULATOR_HOST": self._pubsub.endpoint,
            "STORAGE_EMULATOR_HOST": f"http://{LOOPBACK}:{self.ports.storage}",
            "BIGQUERY_EMULATOR_HOST": self.settings.bigquery_emulator_host,
            "BIGQUERY_STORAGE_EMULATOR_HOST": self.settings.bigquery_storage_emulator_host,
        }

    @property
    def exports(self) -> dict[str, str]:
        """Return the variables for another shell: for clients, and for a function or job that is started there."""
        own = self.settings.to_env()
        return {**self.addresses, **{name: own[name] for name in ("PIX_HMAC_KEY", "PIX_STATE", "PIX_AHEAD_SECONDS")}}

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables with which functions and jobs run in the local cloud."""
        mlflow = self.home / "mlflow"
        mlflow.mkdir(parents=True, exist_ok=True)
        return {
            **self.settings.to_env(),
            **self.addresses,
            "MLFLOW_TRACKING_URI": f"sqlite:///{mlflow / 'mlflow.db'}",
        }

    @property
    def state_server(self) -> ChildProcess:
        """Return the process of the store of history."""
        return self._valkey.child

    def bigquery(self) -> bigquery.Client:
        """Return a client of the local BigQuery."""
        return bigquery.Client(project=self.settings.project, credentials=AnonymousCredentials())

    def start_functions(self, **settings: float | str) -> None:
        """Start both functions under functions-framework, and connect them to their topics."""
        self.settings = replace(self.settings, **settings)  # type: ignore[arg-type]
        for name, topic, port in (("score", TRANSACTIONS, self.ports.score), ("label", FEEDBACK, self.ports.label)):
            self._on_step(f"function {name}")
            self.functions[name] = self._function(name, port)
            self._supervisor.start(self.functions[name])
            self._subscribe(name, topic, f"http://{LOOPBACK}:{port}/")

    def wait(self) -> None:
        """Wait until a signal ends the wait. Raises ChildDied if a server ends by itself."""
        self._supervisor.wait()

    def _start_servers(self) -> None:
        objects = self.home / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        self._on_step(f"Pub/Sub ({self._pubsub.kind})")
        self._supervisor.start(self._pubsub.child, timeout=60)
        self._on_step("Cloud Storage")
        self.storage_server = self._storage(objects)
        self._supervisor.start(self.storage_server)
        self._on_step(f"Valkey ({self._valkey.kind})")
        self._supervisor.start(self.state_server)
        self._on_step("BigQuery")
        self.bigquery_server = self._bigquery.child(state=self.home, objects=objects, project=self.settings.project)
        self._supervisor.start(self.bigquery_server, timeout=60)

    def _storage(self, objects: Path) -> ChildProcess:
        argv = ["-m", "infra.local.storage", "--root", str(objects), "--port", str(self.ports.storage)]
        return ChildProcess("storage", [sys.executable, *argv], log_path=self.home / "storage.log", cwd=ROOT)

    def _make_resources(self) -> None:
        self._on_step("tables, buckets and topics")
        settings = self.settings
        views = tables.views(settings.project, settings.dataset, settings.maturity_days)
        make(self.bigquery(), settings.dataset, tables.tables(), views)
        self._create_buckets()
        with closing(ValkeyLoad.connect(self._valkey.url, settings.state_record_days * DAY_SECONDS)) as store:
            store.open()
        publisher = PublisherClient()
        for topic in (TRANSACTIONS, FEEDBACK):
            for name in (topic, topic + DEAD_LETTERS):
                _once(lambda path: publisher.create_topic(name=path), publisher.topic_path(settings.project, name))
        with SubscriberClient() as subscriber:
            for topic in (TRANSACTIONS, FEEDBACK):
                _once(
                    lambda path, topic=topic: subscriber.create_subscription(  # type: ignore[misc]
                        name=path, topic=f"projects/{settings.project}/topics/{topic}{DEAD_LETTERS}"
                    ),
                    subscriber.subscription_path(settings.project, topic + DEAD_LETTERS),
                )

    def _create_buckets(self) -> None:
        client = storage.Client(project=self.settings.project, credentials=AnonymousCredentials())
        for name in (self.settings.bucket, self.settings.data_bucket):
            _once(client.create_bucket, name)

    def _function(self, name: str, port: int) -> ChildProcess:
        return ChildProcess(
            name,
            [
                str(Path(sys.executable).with_name("functions-framework")),
                *("--source", str(ROOT / "functions" / name / "main.py")),
                *("--target", name, "--host", LOOPBACK, "--port", str(port)),
            ],
            log_path=self.home / f"{name}.log",
            ready=answers_http(f"http://{LOOPBACK}:{port}/"),
            env={**self.environment, "PYTHONPATH": str(ROOT)},
            restart=True,
        )

    def _subscribe(self, name: str, topic: str, endpoint: str) -> None:
        """Own the push subscription, as Terraform does."""
        project = self.settings.project
        with SubscriberClient() as subscriber:
            _once(
                lambda path: subscriber.create_subscription(
                    request={
                        "name": path,
                        "topic": f"projects/{project}/topics/{topic}",
                        "ack_deadline_seconds": ACK_DEADLINE_SECONDS,
                        "push_config": {"push_endpoint": endpoint},
                        **self._retries(topic),
                    }
                ),
                subscriber.subscription_path(project, name),
            )

    def _retries(self, topic: str) -> dict[str, Any]:
        """Return the policies of a push subscription, as in production: retry with back-off, then dead letters.

        Google's emulator gets neither. Under a retry policy it never again pushes messages that have failed together,
        and without one it has used up the attempts before a function that was killed is back.
        """
        if self.pubsub_kind == "google":
            return {}
        return {
            "retry_policy": {
                "minimum_backoff": Duration(nanos=500_000_000),
                "maximum_backoff": Duration(seconds=10),
            },
            "dead_letter_policy": {
                "dead_letter_topic": f"projects/{self.settings.project}/topics/{topic}{DEAD_LETTERS}",
                "max_delivery_attempts": MAX_DELIVERY_ATTEMPTS,
            },
        }


def _once(create: Callable[[str], object], name: str) -> None:
    """Create something by name, unless it is there."""
    try:
        create(name)
    except (AlreadyExists, Conflict):
        return


def export_lines(addresses: Mapping[str, str]) -> str:
    """Return the lines to paste into another shell.

    >>> export_lines({"A": "1"})
    'export A=1'
    """
    return "\n".join(f"export {name}={value}" for name, value in addresses.items())
