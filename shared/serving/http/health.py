"""The health of a worker over HTTP, for the probes of Kubernetes: nothing else of a worker listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

READY = "/ready"
_SECONDS = 5.0


async def serve_health(port: int, healthy: Callable[[], bool], ready: Callable[[], bool]) -> asyncio.Server:
    """Answer each request on a port with 200, or with 503 if not `healthy`; a stuck loop does not answer at all.

    READY is answered 503 also while the worker is not `ready`.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                path = (await reader.readuntil(b"\r\n\r\n")).split(maxsplit=2)[1]
                good = healthy() and (ready() or path != READY.encode())
                status = "200 OK" if good else "503 Service Unavailable"
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(answer, None, port)
