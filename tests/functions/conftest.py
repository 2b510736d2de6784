"""A local cloud with all functions, shared by the tests of this folder; every test uses ids of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.cloud import LocalCloud
from tests.collector import Collector, collecting
from tests.contract.history_stores import SERVERS, Store, store
from tests.functions.bank import Bank
from tests.functions.instance import Instance, Start

SHARDS = 3


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    home: Path = tmp_path_factory.mktemp("cloud")
    # Its servers share the processors with everything else: a call may take its time, where no test is about that.
    cloud = LocalCloud(
        home, pubsub="embedded", pointer_ttl_seconds=0.2, state_call_seconds=30.0, append_timeout_seconds=30.0
    )
    with cloud as running:
        running.start_functions()
        yield running


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
def started(cloud: LocalCloud, collector: Collector, tmp_path: Path) -> Iterator[Start]:
    """Start instances that export to the collector; those still there at the end are killed."""
    instances: list[Instance] = []

    def start(name: str = "score", **settings: str) -> Instance:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **settings}
        instances.append(Instance(cloud, tmp_path / f"{name}-{len(instances)}.log", name, settings))
        return instances[-1]

    yield start
    for instance in instances:
        instance.kill()


@pytest.fixture(scope="session", params=["memory", *SERVERS, "sharded"])
def history_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of history; the last one is divided into shards."""
    kind, shards = (SERVERS[0], SHARDS) if request.param == "sharded" else (request.param, 1)
    with store(kind, tmp_path_factory.mktemp("store"), shards) as running:
        yield running


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store on a server, divided into shards, for a file that lets shards fall back."""
    with store(SERVERS[0], tmp_path_factory.mktemp("store"), SHARDS) as running:
        yield running


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a client tell no notes because it is idle, which on a busy machine depends on luck."""
    monkeypatch.setattr("shared.adapters.valkey.notes.IDLE_SECONDS", 1e6)


@pytest.fixture(params=["assumed", "published"])
def bank(request: pytest.FixtureRequest, history_store: Store) -> Iterator[Bank]:
    """A bank under either setting of outcomes; what it stored is replayed at the end."""
    bank = Bank(history_store, request.param)
    yield bank
    bank.replay()
