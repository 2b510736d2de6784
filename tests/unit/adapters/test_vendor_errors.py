"""Every error that a vendor's library can raise in an adapter becomes one of ours."""

from __future__ import annotations

import asyncio
import http.client
import inspect
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

import google.api_core.exceptions
import google.auth.exceptions
import google.cloud.bigquery.exceptions
import google.cloud.storage.exceptions
import grpc
import mlflow.exceptions
import numpy as np
import pytest
import redis.exceptions
import requests.exceptions
import sqlalchemy.exc
import urllib3.exceptions
from google.auth import default

from shared.adapters.bigquery.load import BulkLoad
from shared.adapters.bigquery.lookup import BigQueryLookup
from shared.adapters.bigquery.table import BigQueryTable
from shared.adapters.gcs import GcsBlobs
from shared.adapters.google_failures import credentials_needed
from shared.adapters.mlflow import tracking
from shared.adapters.valkey.clients import ServerClient
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.patience import StorePatience
from shared.adapters.valkey.store import ValkeyStore
from shared.adapters.valkey.wire import Keeping
from shared.contract.rows import QuarantineRow
from shared.contract.tables import table
from shared.errors import Misconfigured, PreconditionFailed, Unavailable
from shared.features.columns import Events
from shared.ports.history import Claim
from tests.unit.streams import event

NEVER = {
    google.api_core.exceptions.AsyncRestUnsupportedParameterError: "of asynchronous REST, which we do not use",
    google.cloud.bigquery.exceptions.BigQueryError: "the base of the four that follow, never raised itself",
    google.cloud.bigquery.exceptions.BigQueryStorageNotFoundError: "of rows read as data frames; we read values",
    google.cloud.bigquery.exceptions.LegacyBigQueryStorageError: "as above",
    google.cloud.bigquery.exceptions.LegacyPandasError: "as above",
    google.cloud.bigquery.exceptions.LegacyPyarrowError: "as above",
    google.cloud.storage.exceptions.InvalidPathError: "of transfer_manager, which we do not use",
    redis.exceptions.ChildDeadlockedError: "of a pool that a fork interrupts; functions connect after the fork",
    redis.exceptions.CrossSlotTransactionError: "of transactions in a cluster; a script is our only command",
    redis.exceptions.IncorrectPolicyType: "of the routing of commands in a cluster client, which we do not use",
    redis.exceptions.InvalidPipelineStack: "of pipelines, which we do not use",
    redis.exceptions.RedisClusterException: "of a cluster client, which we do not use",
    redis.exceptions.SlotNotCoveredError: "as above",
    sqlalchemy.exc.EmulatedDBAPIException: "inside asynchronous engines, which MLflow does not use",
    urllib3.exceptions.ProxySchemeUnsupported: "of TLS inside TLS to a proxy; our deployments have no proxy",
}
"""Errors that cannot occur in our adapters, and the reason."""


def errors(*modules: ModuleType) -> list[type[Exception]]:
    """Return the exceptions of the packages of modules that the modules name, except warnings and NEVER."""
    found = {
        each
        for module in modules
        for each in vars(module).values()
        if inspect.isclass(each) and each.__module__.startswith(module.__name__.rpartition(".")[0])
    }
    kept = {each for each in found if issubclass(each, Exception) and not issubclass(each, Warning)} - set(NEVER)
    return sorted(kept, key=lambda each: (each.__module__, each.__name__))


def raised(kind: type[Exception]) -> Exception:
    """Return an error of a type without calling its constructor."""
    error = kind.__new__(kind)
    error.args = ("a text of the vendor",)
    return error


class Raising:
    """A vendor's client every method of which raises `error`."""

    def __init__(self, kind: type[Exception]) -> None:
        self._error = raised(kind)

    def __getattr__(self, _name: str) -> Callable[..., Any]:
        def method(*_args: object, **_options: object) -> Any:
            raise self._error

        return method


class RaisingAsync(Raising):
    """The same of an asynchronous client."""

    def __getattr__(self, _name: str) -> Callable[..., Any]:
        async def method(*_args: object, **_options: object) -> Any:
            raise self._error

        return method


class Bucket:
    """A bucket whose objects raise an error at every request."""

    name = "pix-models"

    def __init__(self, kind: type[Exception]) -> None:
        self._kind = kind

    def blob(self, name: str) -> Any:
        blob: Any = Raising(self._kind)
        blob.name = name
        return blob

    def list_blobs(self, **_options: object) -> Any:
        def pages() -> Any:
            raise raised(self._kind)
            yield

        return pages()


HTTP = [
    *errors(requests.exceptions, urllib3.exceptions, http.client),
    *(TimeoutError, ConnectionResetError, BrokenPipeError),
]
GOOGLE = [*errors(google.api_core.exceptions, google.auth.exceptions), *HTTP]
STORAGE = [*GOOGLE, *errors(google.cloud.storage.exceptions)]
BIGQUERY = [*GOOGLE, *errors(google.cloud.bigquery.exceptions)]
REDIS = errors(redis.exceptions)
MLFLOW = [*STORAGE, *errors(mlflow.exceptions, sqlalchemy.exc)]


@pytest.mark.parametrize("kind", STORAGE)
def test_cloud_storage(kind: type[Exception], tmp_path: Any) -> None:
    blobs = GcsBlobs(Bucket(kind))
    missing = issubclass(kind, google.api_core.exceptions.NotFound)
    changed = issubclass(kind, google.api_core.exceptions.PreconditionFailed)
    mapped = (Misconfigured,) if missing else (Unavailable,)
    with pytest.raises(PreconditionFailed if changed else mapped):
        blobs.write("a", b"", 0)
    with pytest.raises(mapped):
        blobs.listed("a/")
    with pytest.raises(Unavailable):
        blobs.create("a", lambda _: None)
    if missing:
        assert blobs.read("a") is None
        assert not blobs.fetch("a", tmp_path / "a")
        return
    with pytest.raises(Unavailable):
        blobs.read("a")
    with pytest.raises(Unavailable):
        blobs.fetch("a", tmp_path / "a")


@pytest.mark.parametrize("kind", BIGQUERY)
def test_queries_of_the_label_function(kind: type[Exception]) -> None:
    client: Any = Raising(kind)
    with pytest.raises(Unavailable):
        asyncio.run(BigQueryLookup(client, "bank", "pix", 1.0).parties(["E1234567820261120"]))


@pytest.mark.parametrize("kind", BIGQUERY)
def test_load_jobs(kind: type[Exception]) -> None:
    client: Any = Raising(kind)
    bucket: Any = Bucket(kind)
    with pytest.raises(Unavailable):
        BulkLoad(client, bucket, "bank.pix.quarantine", "run").finish(1)


@pytest.mark.parametrize("kind", STORAGE)
def test_files_of_load_jobs(kind: type[Exception]) -> None:
    client: Any = Raising(kind)
    bucket: Any = Bucket(kind)
    with pytest.raises(Unavailable):
        BulkLoad(client, bucket, "bank.pix.quarantine", "run").put(0, b"")


class Stream:
    """A Storage Write API that ends each stream with `error`."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def append_rows(self, requests: AsyncIterator[object], _stream: str) -> AsyncIterator[object]:
        async for _ in requests:
            raise self.error
            yield


def rpc_error(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "a text of the vendor")


@pytest.mark.parametrize(
    "error",
    [
        *(rpc_error(code) for code in grpc.StatusCode),
        *(raised(kind) for kind in errors(grpc.aio) if issubclass(kind, grpc.aio.BaseError)),
    ],
    ids=lambda error: error.code().name if isinstance(error, grpc.RpcError) else type(error).__name__,
)
def test_appending(error: Exception) -> None:
    service: Any = Stream(error)
    target = BigQueryTable(service, "bank", "pix", table("quarantine"), 5.0)
    name = error.code().name if isinstance(error, grpc.RpcError) else type(error).__name__
    rows = [QuarantineRow(1, "pix-transactions", "bulk", "0" * 64, 1)]
    if name == "INVALID_ARGUMENT":
        assert asyncio.run(target.append(rows)) == [0], "a row that ends its stream is refused"
        return
    with pytest.raises(Unavailable, match=name):
        asyncio.run(target.append(rows))


@pytest.mark.parametrize("kind", REDIS)
def test_history_in_valkey(kind: type[Exception]) -> None:
    client: Any = RaisingAsync(kind)
    server = ServerClient(client, StorePatience(1.0))
    with pytest.raises(Unavailable, match=kind.__name__):
        asyncio.run(ValkeyHistory(server, Keeping(900, 900, 900)).observe(Events([event()]), Claim("v1", 1)))


@pytest.mark.parametrize("kind", REDIS)
def test_loading_history_into_valkey(kind: type[Exception]) -> None:
    client: Any = Raising(kind)
    with pytest.raises(Unavailable, match=kind.__name__):
        ValkeyStore(lambda: client, 900).hold()
    with pytest.raises(Unavailable, match=kind.__name__):
        ValkeyStore(lambda: client, 900).erase({}, np.empty(0, dtype=np.uint64), ["E1"])


@pytest.mark.parametrize("kind", MLFLOW)
def test_mlflow(kind: type[Exception]) -> None:
    """By type, as the text of some errors cannot be had without their arguments."""
    assert issubclass(kind, tracking.FAILURES)


@pytest.mark.parametrize("kind", errors(google.auth.exceptions))
def test_credentials(kind: type[Exception]) -> None:
    missing = issubclass(kind, google.auth.exceptions.DefaultCredentialsError)
    with pytest.raises(Misconfigured if missing else Unavailable), credentials_needed():
        raise raised(kind)


def test_a_machine_without_credentials_is_misconfigured(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    with pytest.raises(Misconfigured, match="gcloud auth"), credentials_needed():
        default()


def test_errors_that_never_occur_have_a_reason() -> None:
    assert all(NEVER.values())
    assert not [kind for kind in NEVER if issubclass(kind, tracking.FAILURES)], "it is mapped after all"
