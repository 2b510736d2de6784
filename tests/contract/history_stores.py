"""The stores of history behind one handle: in memory, a packaged server, an installed one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from redis.asyncio import Redis

from infra.local.processes import Supervisor
from infra.local.valkey.launch import KINDS, ValkeyKind, ValkeyServer, find_server, valkey_server
from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.store import ValkeyStore
from shared.adapters.valkey.wire import Keeping, sequence_key
from shared.features.places import Place
from shared.ports.history import ChangingHistory, History

Result = TypeVar("Result")
SERVERS: tuple[ValkeyKind, ...] = tuple(kind for kind in KINDS if find_server(kind)) or ("packaged",)
"""The kinds of server on this machine. Without any, tests fail with the error that names the remedy; none skips."""
PATIENT = 30.0  # seconds for a call, where no test is about time-outs


def numbers(places: Iterable[int]) -> list[int]:
    """Return the numbers of places within their epoch; any other value, which is negative, as it is."""
    return [Place.of(int(place)).number if place > 0 else int(place) for place in places]


class SharedHistory(History, ChangingHistory, Protocol):
    """The history that the score and label functions share."""


class Store:
    """A store in a loop of its own; `fresh` empties it."""

    def __init__(self, runner: asyncio.Runner, server: ValkeyServer | None, shards: int = 1) -> None:
        self._runner = runner
        self.server = server
        self.shards = shards
        self.history: SharedHistory = MemoryHistoryAdapter()
        self._clients: list[ValkeyHistory] = []
        if server is not None:
            self.redis = Redis.from_url(server.url)
            self.history = self.client()

    def run(self, work: Awaitable[Result]) -> Result:
        async def wait() -> Result:
            return await work

        return self._runner.run(wait())

    def client(
        self, call_seconds: float = PATIENT, life_seconds: int = 900, message_seconds: int = 9_000
    ) -> ValkeyHistory:
        """Return another client of the same server."""
        assert self.server is not None
        keeping = Keeping(message_seconds, life_seconds, 86_400)
        self._clients.append(ValkeyHistory.connect(self.server.url, 1.0, call_seconds, keeping, self.shards))
        return self._clients[-1]

    def fresh(self) -> SharedHistory:
        if self.server is None:
            self.history = MemoryHistoryAdapter()
        else:
            self.empty()
            opened(self.server, self.shards)
        return self.history

    def empty(self) -> SharedHistory:
        """Empty the server, as a restart does."""
        self.run(self.redis.flushall())
        return self.history

    def copied(self, shard: int) -> dict[bytes, bytes]:
        """Return all keys of a shard with their values, as a replica has them."""
        return self.run(self.copying(shard))

    async def copying(self, shard: int) -> dict[bytes, bytes]:
        """Copy a shard between two calls of its client."""
        tag = sequence_key(shard, self.shards)[:-1]
        names = [name for name in await self.redis.keys() if isinstance(name, bytes)]
        return {name: await self.redis.dump(name) for name in names if name.startswith(tag.encode())}

    def fall_back(self, shard: int, copy: Mapping[bytes, bytes]) -> None:
        """Let a shard be what it was, in a process of another name, as if a replica took over that lacks the rest."""
        self.run(self.falling_back(shard, copy))

    async def falling_back(self, shard: int, copy: Mapping[bytes, bytes]) -> None:
        """Let a shard fall back between two calls of its client."""
        await self.redis.delete(*await self.copying(shard))
        for name, value in copy.items():
            await self.redis.restore(name, 3_600_000, value)
        key = sequence_key(shard, self.shards)
        sequence = await self.redis.get(key)
        assert isinstance(sequence, bytes)
        await self.redis.set(key, b" ".join((*sequence.split()[:2], b"0")))

    def close(self) -> None:
        for client in self._clients:
            self.run(client.close())
        if self.server is not None:
            self.run(self.redis.aclose())


@contextmanager
def store(kind: Literal["memory"] | ValkeyKind, directory: Path, shards: int = 1) -> Iterator[Store]:
    """Run a store of that kind."""
    with asyncio.Runner() as runner, Supervisor() as supervisor:
        server = None if kind == "memory" else running(kind, directory, supervisor)
        handle = Store(runner, server, shards)
        try:
            yield handle
        finally:
            handle.close()


def running(kind: ValkeyKind, directory: Path, supervisor: Supervisor) -> ValkeyServer:
    server = valkey_server(directory, kind)
    supervisor.start(server.child)
    opened(server)
    return server


def opened(server: ValkeyServer, shards: int = 1) -> None:
    """Mark an empty server as complete, so that it counts."""
    with closing(ValkeyStore.connect(server.url, 86_400, shards)) as load:
        load.open()
