"""HTTP of deliveries over a real server and real connections."""

import asyncio
from functools import partial
from typing import Any

import uvicorn

from shared.serving.http.limits import DEFAULT, Headers, RequestLimits, answer
from shared.serving.http.push import PushProtocol
from tests.waiting import PATIENCE

POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n%s\r\n%s"


class Receiver:
    """Take deliveries, and answer the status that a body names."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.by_asgi: list[tuple[str, str, bytes, bytes]] = []
        self.headers: Headers = []
        self.arrived = 0

    async def deliver(self, body: bytes, headers: Headers) -> int:
        await asyncio.sleep(0.005 if body == b"slow" else 0)
        self.bodies.append(body)
        self.headers = headers
        return int(body) if body.isdigit() else 204

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        self.by_asgi.append((scope["method"], scope["path"], dict(scope["headers"]).get(b"x-a"), body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


class Counting(PushProtocol):
    """Add up the bytes that arrive."""

    def __init__(self, receiver: Receiver, *args: Any, **settings: Any) -> None:
        super().__init__(receiver.deliver, *args, **settings)
        self._receiver = receiver

    def data_received(self, data: bytes) -> None:
        self._receiver.arrived += len(data)
        super().data_received(data)


def talk(
    receiver: Receiver,
    *pieces: bytes,
    answers: int,
    limits: RequestLimits = DEFAULT,
    idle_seconds: float | None = None,
) -> tuple[bytes, bool]:
    """Send pieces over one connection, and return as many bytes as the answers have, and whether it was closed.

    A server that closes an idle connection after `idle_seconds` is waited for.
    """

    async def run() -> tuple[bytes, bool]:
        config = uvicorn.Config(
            receiver.app,
            port=0,
            http=partial(Counting, receiver, limits=limits),  # type: ignore[arg-type]  # it is only called, as a class would be
            interface="asgi3",
            log_config=None,
            lifespan="off",
        )
        if idle_seconds is not None:
            config.timeout_keep_alive = idle_seconds  # type: ignore[assignment]  # whole seconds would be a long wait
        server, receiver.arrived = uvicorn.Server(config), 0
        socket = config.bind_socket()
        serving = asyncio.create_task(server.serve(sockets=[socket]))
        while not server.started:
            await asyncio.sleep(0.001)
        reader, writer = await asyncio.open_connection(*socket.getsockname())
        received = b""
        async with asyncio.timeout(PATIENCE):
            for count, piece in enumerate(pieces, start=1):
                writer.write(piece)
                while receiver.arrived < sum(map(len, pieces[:count])):  # else the server would see pieces as one
                    await asyncio.sleep(0.001)
                while len(pieces) == answers and received.count(b"\r\n\r\n") < count:
                    received += await reader.read(65_536)
            while received.count(b"\r\n\r\n") < answers:
                received += await reader.read(65_536)
            ends = not answers or b"connection: close" in received or idle_seconds is not None
            closed = reader.at_eof() or (ends and not await reader.read())
        writer.close()
        server.should_exit = True
        await serving
        socket.close()
        return received, closed

    return asyncio.run(run())


def post(body: bytes, headers: bytes = b"") -> bytes:
    return POST % (len(body), headers, body)


def test_deliveries_over_one_connection_are_answered_in_order() -> None:
    receiver = Receiver()
    received, closed = talk(receiver, post(b"a"), post(b"429"), post(b"b", b"Traceparent: t\r\n"), answers=3)
    assert received == answer(204, True) + answer(429, True) + answer(204, True)
    assert not closed
    assert receiver.bodies == [b"a", b"429", b"b"]
    assert (b"traceparent", b"t") in receiver.headers
    assert receiver.by_asgi == []


def test_a_connection_that_is_idle_after_an_answer_is_closed() -> None:
    receiver = Receiver()
    assert talk(receiver, post(b"a"), answers=1, idle_seconds=0.01) == (answer(204, True), True)
    assert receiver.bodies == [b"a"]


def test_a_body_in_pieces_is_joined() -> None:
    receiver, body = Receiver(), b"x" * 100_000
    request = post(body)
    talk(receiver, request[:30], request[30:70_000], request[70_000:], answers=1)
    chunked = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    talk(receiver, chunked, answers=1)
    assert receiver.bodies == [body, b"abcde"]


def test_other_requests_take_the_asgi_path() -> None:
    receiver = Receiver()
    received, _ = talk(receiver, b"GET /warm HTTP/1.1\r\nhost: x\r\nx-a: 1\r\n\r\n", post(b"a"), answers=2)
    assert received.count(b"200 OK") == 1
    assert received.endswith(answer(204, True))
    assert receiver.by_asgi == [("GET", "/warm", b"1", b"")]
    received, _ = talk(receiver, post(b"c", b"expect: 100-continue\r\n"), answers=2)
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert receiver.by_asgi[-1] == ("POST", "/", None, b"c")


def test_pipelined_requests_are_answered_in_order() -> None:
    receiver = Receiver()
    received, _ = talk(receiver, post(b"slow") + post(b"a"), answers=2)
    assert received.startswith(answer(204, True))
    assert receiver.bodies == [b"slow"]
    assert receiver.by_asgi == [("POST", "/", None, b"a")]


def test_a_connection_not_kept_alive_is_closed_after_the_answer() -> None:
    receiver = Receiver()
    received, closed = talk(receiver, post(b"a", b"connection: close\r\n"), answers=1)
    assert received == answer(204, False)
    assert closed


def test_a_closed_connection_is_not_answered() -> None:
    receiver = Receiver()

    async def run() -> None:
        protocol = PushProtocol(
            receiver.deliver, config=uvicorn.Config(receiver.app), server_state=State(), app_state={}
        )
        protocol.connection_made(ClosedTransport())
        protocol.data_received(post(b"a"))
        protocol.connection_lost(ConnectionResetError())
        await asyncio.gather(*protocol.tasks)

    asyncio.run(run())
    assert receiver.bodies == [b"a"]


class State(uvicorn.server.ServerState): ...


class ClosedTransport(asyncio.Transport):
    """A transport whose other end is gone; writing to it fails the test."""

    def is_closing(self) -> bool:
        return True

    def close(self) -> None: ...

    def write(self, data: object) -> None:
        raise AssertionError(data)
