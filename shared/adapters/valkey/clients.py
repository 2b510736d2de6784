"""Calls of scripts on a server, or on the nodes of a cluster, and the address of either."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    SlotNotCoveredError,
)

from shared.adapters.valkey.credentials import credentials_of
from shared.adapters.valkey.patience import LONGEST_CALL, StorePatience
from shared.adapters.valkey.script import Script
from shared.adapters.valkey.wire import Argument
from shared.errors import Misconfigured, Unavailable

SCHEMES = ("redis", "rediss", "valkey", "valkeys")
CLUSTER = "-cluster"
"""Follows the scheme of the address of a cluster, which is that of any of its nodes."""
_ATTEMPTS = 2
_LOST = (
    *(exceptions.ConnectionError, exceptions.TimeoutError, TimeoutError),
    *(ClusterDownError, ReadOnlyError, SlotNotCoveredError),
)
ERRORS = (RedisError, RedisClusterException, TimeoutError)
"""All errors of the client, of which those about a cluster are not of its common type, and of StorePatience."""


class Client(Protocol):
    """A client of the store."""

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script on the node of its keys, which share a slot. Raises Unavailable."""
        ...

    async def reach(self) -> None:
        """Ask for any answer. Raises Unavailable without one."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class ServerClient:
    """The client of one server, which holds every shard."""

    def __init__(self, redis: Redis, patience: StorePatience) -> None:
        self.redis = redis
        self._patience = patience

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script; send its text to a server that has restarted."""
        return await self._answered(lambda: self._run(script, keys, arguments))

    async def reach(self) -> None:
        """Ping the server."""
        await self._answered(self.redis.ping)

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose()

    async def _answered(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return the answer to a call, which is repeated once on a new connection if the server is silent."""
        try:
            try:
                return await self._patience.answered(call())
            except TimeoutError:
                return await self._patience.answered(call())
        except ERRORS as error:
            raise unavailable(error) from error

    async def _run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        try:
            return await self.redis.evalsha(script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.redis.eval(script.text, len(keys), *keys, *arguments)


class ClusterClient:
    """The client of a cluster, in which each shard is a slot.

    A call whose node does not answer, or no longer holds the slot, is repeated once, by the cluster's word on where
    the slot is now. A slot whose keys are moved one by one (MIGRATE) answers no call that names a key of which the
    node has none. The client never follows such a call to the other node (ASK): it would find only some of the
    records there, and take the others for missing.
    """

    def __init__(self, redis: RedisCluster, call_seconds: float) -> None:
        self.redis = redis
        self._patience: defaultdict[str, StorePatience] = defaultdict(lambda: StorePatience(call_seconds))
        self._called: dict[int, ClusterNode] = {}

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script on the node of its keys; send its text to a node that has restarted."""
        try:
            await self.redis.initialize()
            return await self._run(script, keys, arguments)
        except ERRORS as error:
            raise unavailable(error) from error

    async def reach(self) -> None:
        """Ask a node for the slots of all, and ping one."""
        try:
            await self.redis.initialize()
            await self.redis.ping()
        except ERRORS as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """Close the connections, also those to nodes that have left the cluster, which its client forgets."""
        await self.redis.aclose()
        await asyncio.gather(*(node.disconnect() for node in self._called.values()), return_exceptions=True)

    async def _run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument], attempts: int = _ATTEMPTS
    ) -> Any:
        node: ClusterNode | None = None
        try:
            node = self.redis.get_node_from_key(keys[0])
            if node is None:
                raise SlotNotCoveredError("no node holds the slot")
            self._called[id(node)] = node
            return await self._patience[node.name].answered(_evaluated(node, script, keys, arguments))
        except MovedError as error:
            if attempts == 1:
                raise
            await self.redis.nodes_manager.move_slot(error)
        except _LOST:
            await self.redis.nodes_manager.initialize(last_failed_node_name=None if node is None else node.name)
            if attempts == 1:
                raise
        return await self._run(script, keys, arguments, attempts - 1)


async def _evaluated(node: ClusterNode, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
    try:
        return await node.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
    except NoScriptError:
        return await node.execute_command("EVAL", script.text, len(keys), *keys, *arguments)


def client(url: str, connect_seconds: float, call_seconds: float) -> Client:
    """Return the client of the store at an address, which connects at the first call. Raises Misconfigured.

    A call that fails is repeated once on a new connection, also if the primary has become a replica. It has failed
    once the server has been silent for `call_seconds`: see StorePatience.
    """
    (address, tokens), retry = credentials_of(server_url(url)), Retry(NoBackoff(), _ATTEMPTS - 1)
    if is_cluster(url):
        return ClusterClient(
            RedisCluster.from_url(
                address,
                require_full_coverage=False,
                socket_connect_timeout=connect_seconds,
                socket_timeout=LONGEST_CALL * call_seconds,  # of the client's own questions about slots
                credential_provider=tokens,
            ),
            call_seconds,
        )
    return ServerClient(
        Redis.from_url(
            address,
            socket_connect_timeout=connect_seconds,
            socket_timeout=None,
            credential_provider=tokens,
            retry=retry,
            retry_on_error=[ReadOnlyError],
        ),
        StorePatience(call_seconds),
    )


def is_cluster(url: str) -> bool:
    """Return whether an address is that of a cluster.

    >>> is_cluster("valkey-cluster://10.0.0.3:6379"), is_cluster("valkey://10.0.0.3:6379")
    (True, False)
    """
    return url.partition("://")[0].endswith(CLUSTER)


def server_url(url: str) -> str:
    """Return the address in the client's schemes: valkey:// and valkeys:// (TLS) become redis:// and rediss://.

    Raises Misconfigured, without the address, which may hold a password.

    >>> server_url("valkeys://10.0.0.3:6379"), server_url("valkey-cluster://10.0.0.3:6379")
    ('rediss://10.0.0.3:6379', 'redis://10.0.0.3:6379')
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.removesuffix(CLUSTER)
    try:
        known = bool(separator) and scheme in SCHEMES and urlsplit(f"{scheme}{separator}{rest}").port != 0
    except ValueError:  # the port is not a number
        known = False
    if not known:
        known_schemes = "://, ".join((*SCHEMES, *(scheme + CLUSTER for scheme in SCHEMES)))
        raise Misconfigured(f"the address of a store of history is {known_schemes}://host:port")
    return scheme.replace("valkey", "redis") + separator + rest


class Emptied(Unavailable):
    """The shard was emptied, and is not filled yet; it says so at once."""


def unavailable(error: Exception) -> Unavailable:
    """Return the error of ours for one of the client's."""
    kind = Emptied if str(error).startswith("EMPTY") else Unavailable
    return kind(f"the store of history: {type(error).__name__}")
