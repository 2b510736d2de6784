"""Share connections among servers in turn: `python -m tests.benchmarks.faults.balancer PORT SERVER_PORT ...`."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Sequence
from contextlib import suppress

from infra.local.loopback import LOOPBACK

_CHUNK = 65_536


class Balancer:
    """Gives each connection to the next server, or to another one if that does not listen."""

    def __init__(self, servers: Sequence[int]) -> None:
        """`servers` are ports on loopback."""
        self._servers = servers
        self._turns = itertools.count()

    async def serve(self, port: int) -> None:
        """Serve a port until cancelled."""
        async with await asyncio.start_server(self._share, LOOPBACK, port) as server:
            await server.serve_forever()

    async def _share(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(self._turns)
        for turn in range(first, first + len(self._servers)):
            with suppress(OSError):
                answers, requests = await asyncio.open_connection(LOOPBACK, self._servers[turn % len(self._servers)])
                await asyncio.gather(_copy(reader, requests), _copy(answers, writer))
                return
        writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy bytes until one end closes, and close the target: the end of a killed server is passed on."""
    with suppress(OSError):
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
    target.close()


if __name__ == "__main__":
    port, *servers = map(int, sys.argv[1:])
    asyncio.run(Balancer(servers).serve(port))
