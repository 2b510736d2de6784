"""The HTTP side of a function: what the framework hands over is answered as what comes directly."""

import asyncio
import gc
import logging
import signal

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from shared.endpoint import Endpoint


class Intake:
    """Take bodies, and answer 204, or fail at one."""

    def __init__(self):
        self.bodies = []

    async def handle(self, body):
        if body == b"bad":
            raise ValueError("personal data")
        self.bodies.append(body)
        return 204

    async def drain(self, seconds): ...


@pytest.fixture
def intake(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    return Intake()


@pytest.fixture(autouse=True)
def process():
    """Undo what an endpoint does to its process: logs, signals, garbage collection."""
    handlers, level, handler = logging.root.handlers[:], logging.root.level, signal.getsignal(signal.SIGTERM)
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    signal.signal(signal.SIGTERM, handler)
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.fixture
def app(intake):
    endpoint = Endpoint(lambda _: intake)

    async def function(request: Request):
        return await endpoint(request)

    return Starlette(routes=[Route("/", function, methods=["GET", "POST"])])


def ask(app, *pieces, method="POST"):
    """Return status and body of the answer to a request that comes in pieces."""
    scope = {"type": "http", "method": method, "path": "/", "headers": [], "query_string": b"", "http_version": "1.1"}
    coming = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces[:-1]]
    coming.append({"type": "http.request", "body": pieces[-1]} if pieces else {"type": "http.disconnect"})
    sent = []

    async def receive():
        return coming.pop(0)

    async def send(message):
        sent.append(message)

    async def run():
        await app(scope, receive, send)

    asyncio.run(run())
    return (sent[0]["status"], b"".join(m.get("body", b"") for m in sent)) if sent else None


def test_every_request_is_answered_whether_the_framework_hands_it_over_or_not(app, intake):
    assert [ask(app, body) for body in (b"one", b"two", b"three")] == [(204, b"")] * 3
    assert intake.bodies == [b"one", b"two", b"three"]


def test_a_body_in_pieces_is_put_together(app, intake):
    ask(app, b"", method="GET")
    assert ask(app, b"a", b"b", b"c") == (204, b"")
    assert intake.bodies == [b"abc"]


def test_a_probe_warms_and_delivers_nothing(app, intake):
    assert [ask(app, b"", method="GET") for _ in range(2)] == [(200, b"")] * 2
    assert intake.bodies == []


def test_a_failure_is_500_and_its_text_stays_here(app, capsys):
    assert [ask(app, b"bad") for _ in range(2)] == [(500, b"")] * 2
    said = capsys.readouterr().err
    assert said.count('"message":"failed"') == 1  # once, however often in a row
    assert "personal data" not in said


def test_who_has_gone_gets_no_answer_and_delivers_nothing(app, intake):
    ask(app, b"", method="GET")
    assert ask(app) is None
    assert intake.bodies == []
