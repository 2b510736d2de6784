"""The HTTP side of a function: statuses of deliveries from the framework and from the server."""

import asyncio
import gc
import logging
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request

from shared.adapters.memory.callers import MemoryCallers
from shared.errors import Unavailable
from shared.serving.http.endpoint import Endpoint
from shared.serving.readiness import AT_ONCE, Readiness


class TakingIntake:
    """Take bodies, and answer 204, or fail at one."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.readiness = AT_ONCE

    async def handle(self, body: bytes) -> int:
        if body == b"bad":
            raise ValueError("personal data")
        self.bodies.append(body)
        return 204

    async def drain(self, seconds: float) -> None: ...


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> TakingIntake:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    return TakingIntake()


@pytest.fixture(autouse=True)
def process() -> Iterator[None]:
    """Undo the changes of an endpoint to its process: logs, signals, garbage collection."""
    handlers, level, handler = logging.root.handlers[:], logging.root.level, signal.getsignal(signal.SIGTERM)
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    signal.signal(signal.SIGTERM, handler)
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.fixture
def endpoint(intake: TakingIntake) -> Endpoint[Any]:
    return Endpoint(lambda _: intake)  # type: ignore[arg-type,return-value]  # a stand-in for the class


def ask(endpoint: Endpoint[Any], method: str, body: bytes) -> int:
    """Return the status of a request through the framework."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def run() -> int:
        scope = {"type": "http", "method": method, "path": "/", "headers": []}
        return (await endpoint(Request(scope, receive))).status_code

    return asyncio.run(run())


def test_a_delivery_is_answered_from_the_framework_and_from_the_server(
    endpoint: Endpoint[Any], intake: TakingIntake
) -> None:
    assert ask(endpoint, "POST", b"one") == 204
    assert asyncio.run(endpoint.deliver(b"two", [])) == 204
    assert intake.bodies == [b"one", b"two"]


def test_a_probe_warms_and_delivers_nothing(endpoint: Endpoint[Any], intake: TakingIntake) -> None:
    assert ask(endpoint, "GET", b"") == 200
    assert intake.bodies == []


def test_a_probe_is_told_to_come_again_until_the_instance_has_all_that_it_needs(
    endpoint: Endpoint[Any], intake: TakingIntake
) -> None:
    away = True

    async def reach() -> None:
        if away:
            raise Unavailable("away")

    async def probed() -> list[int]:
        nonlocal away
        statuses = [await endpoint.deliver(None, [])]
        away = False
        return [*statuses, await endpoint.deliver(None, [])]

    intake.readiness = Readiness({"store": reach}, 60.0, 0.01)
    assert asyncio.run(probed()) == [503, 200]


def test_nothing_with_a_body_is_accepted_unread(endpoint: Endpoint[Any], intake: TakingIntake) -> None:
    assert [ask(endpoint, method, b"one") for method in ("GET", "HEAD", "PUT", "DELETE")] == [400, 400, 405, 405]
    assert intake.bodies == []


def test_a_delivery_of_an_unknown_caller_is_refused(intake: TakingIntake) -> None:
    callers = MemoryCallers(["known"])
    endpoint: Endpoint[Any] = Endpoint(lambda _: intake, lambda _: callers)  # type: ignore[arg-type,return-value]  # as above

    def delivered(*headers: tuple[bytes, bytes]) -> int:
        return asyncio.run(endpoint.deliver(b"one", list(headers)))

    tokens = (b"Bearer known", b"bearer known", b"Bearer other", b"Basic known", b"known", b"")
    assert [delivered((b"authorization", token)) for token in tokens] == [204, 204, 401, 401, 401, 401]
    assert delivered() == 401
    callers.away = True
    assert delivered((b"authorization", b"Bearer known")) == 503
    assert ask(endpoint, "GET", b"") == 200
    assert intake.bodies == [b"one"] * 2


def test_a_failure_is_500_and_logs_no_text(endpoint: Endpoint[Any], capsys: pytest.CaptureFixture[str]) -> None:
    trace = [(b"traceparent", f"00-{'a' * 32}-{'b' * 16}-01".encode())]
    assert asyncio.run(endpoint.deliver(b"bad", trace)) == 500
    logged = capsys.readouterr().err
    assert '"message":"failed"' in logged
    assert "a" * 32 in logged
    assert "personal data" not in logged
