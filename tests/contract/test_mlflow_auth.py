"""MLflow's client authenticates to its server with tokens of Google's library."""

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from typing import Any

import mlflow
import pytest
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError
from mlflow.exceptions import MlflowException
from mlflow.tracking.request_auth.registry import _request_auth_provider_registry as providers

from shared.adapters.mlflow import auth
from shared.adapters.mlflow.tracking import MlflowRegistry
from shared.errors import Unavailable


class Issued(Credentials):
    """Credentials that give a new token at each refresh, valid for `seconds`."""

    def __init__(self, audience: str, seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # google-auth does not annotate it
        self._audience, self._seconds, self._times = audience, seconds, 0

    def refresh(self, _: Any) -> None:
        self._times += 1
        self.token = f"{self._times} for {self._audience}"
        self.expiry = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=self._seconds)


Identified = Callable[[Callable[[str], Credentials]], None]


class Server(ThreadingHTTPServer):
    """An empty tracking server that records its callers and refuses those without a token."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.callers: list[str | None] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        caller = self.headers.get("Authorization")
        self.server.callers.append(caller)
        body = json.dumps({"registered_models": []} if caller else {"error_code": "PERMISSION_DENIED"}).encode()
        self.send_response(200 if caller else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def identified(monkeypatch: pytest.MonkeyPatch) -> Identified:
    """Choose our provider, with credentials from the given function."""

    def choose(fetch: Callable[[str], Credentials]) -> None:
        (ours,) = [each for each in providers if each.get_name() == auth.NAME]
        monkeypatch.setenv("MLFLOW_TRACKING_AUTH", auth.NAME)
        monkeypatch.setattr(auth, "fetch_id_token_credentials", fetch)
        monkeypatch.setattr(ours, "_identity", auth.GoogleIdentity())

    return choose


def ask(server: Server) -> None:
    mlflow.MlflowClient(server.address).search_registered_models()


@pytest.mark.parametrize(("seconds", "tokens"), [(3600, (1, 1)), (60, (1, 2))], ids=["good", "about to expire"])
def test_a_token_for_the_server_is_kept_until_shortly_before_it_expires(
    server: Server, identified: Identified, seconds: int, tokens: tuple[int, ...]
) -> None:
    identified(lambda audience: Issued(audience, seconds))
    ask(server)
    ask(server)
    assert server.callers == [f"Bearer {token} for {server.address}" for token in tokens]


def test_no_token_is_sent_without_a_provider(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_AUTH", raising=False)
    with pytest.raises(MlflowException):
        ask(server)
    assert server.callers == [None]


def test_mlflow_is_unavailable_without_an_identity(server: Server, identified: Identified) -> None:
    def nobody(_: str) -> Credentials:
        raise DefaultCredentialsError("no metadata server")

    identified(nobody)
    with pytest.raises(Unavailable, match="no metadata server"):
        MlflowRegistry(server.address).set_champion("v1", None)
    assert server.callers == []


def test_mlflow_finds_the_provider_by_its_entry_point() -> None:
    found = entry_points(group="mlflow.request_auth_provider")
    assert auth.GoogleRequestAuthProvider in [each.load() for each in found if each.name == "google"]
