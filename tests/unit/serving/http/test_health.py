"""The port of a worker for probes."""

import asyncio
import socket

from shared.serving.http.health import serve_health
from tests.unit.serving.test_intake import run


def test_it_answers_200_until_the_worker_drains_and_once_it_is_ready() -> None:
    async def scenario() -> list[bytes]:
        healthy, ready = True, False
        server = await serve_health(0, lambda: healthy, lambda: ready)
        port = next(each.getsockname()[1] for each in server.sockets if each.family == socket.AF_INET)

        async def asked(request: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return answer.partition(b"\r\n")[0]

        probe = b"GET /ready HTTP/1.1\r\n\r\n"
        requests = (b"GET / HTTP/1.1\r\nhost: w\r\n\r\n", b"no request", b"\r\n\r\n", probe)
        answers = [await asked(request) for request in requests]
        ready = True
        answers.append(await asked(probe))
        healthy = False
        answers.append(await asked(probe))
        server.close()
        return answers

    good, bad = b"HTTP/1.1 200 OK", b"HTTP/1.1 503 Service Unavailable"
    assert run(scenario) == [good, b"", b"", bad, good, bad]
