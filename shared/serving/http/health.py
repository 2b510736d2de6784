"""The health of a worker over HTTP, for the probes of Kubernetes: nothing else of a worker listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_SECONDS = 5.0


async def serve_health(port: int, healthy: Callable[[], bool]) -> asyncio.Server:
    """Answer each request on a port with 200, or with 503 if not `healthy`; a stuck loop does not answer at all."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status = "200 OK" if healthy() else "503 Service Unavailable"
        try:
            async with asyncio.timeout(_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(answer, None, port)
