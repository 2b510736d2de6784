"""The port of a worker for probes."""

import asyncio
import socket

from shared.serving.http.health import serve_health
from tests.unit.serving.test_intake import run


def test_it_answers_200_until_the_worker_drains() -> None:
    async def scenario() -> list[bytes]:
        healthy = True
        server = await serve_health(0, lambda: healthy)
        port = next(each.getsockname()[1] for each in server.sockets if each.family == socket.AF_INET)

        async def asked(request: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return answer.partition(b"\r\n")[0]

        answers = [await asked(b"GET / HTTP/1.1\r\nhost: w\r\n\r\n"), await asked(b"no request")]
        healthy = False
        answers.append(await asked(b"GET /ready HTTP/1.1\r\n\r\n"))
        server.close()
        return answers

    assert run(scenario) == [b"HTTP/1.1 200 OK", b"", b"HTTP/1.1 503 Service Unavailable"]
