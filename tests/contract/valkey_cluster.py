"""A cluster on loopback, by default of three primaries with a replica each; each shard is on a primary of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from infra.local.loopback import LOOPBACK, claim_port
from infra.local.processes import ChildProcess, Supervisor
from infra.local.valkey.launch import ValkeyKind, valkey_server
from shared.adapters.valkey.wire import sequence_key

SHARDS = 3


def slots_of(shards: int) -> list[int]:
    """Return the slot of each shard."""
    return [key_slot(sequence_key(shard, shards).encode()) for shard in range(shards)]


SLOTS = slots_of(SHARDS)
_SECONDS = 60.0
_SLOTS = 16_384


class Node:
    """A server of the cluster: its process, its client, and its name in the cluster."""

    def __init__(self, port: int, bus: int, process: ChildProcess) -> None:
        self.port, self.bus, self.process = port, bus, process
        self.redis: Redis = Redis(LOOPBACK, port, socket_timeout=30)
        self.name = self.cluster("MYID").decode()

    def cluster(self, *arguments: Any) -> Any:
        """Return the answer to a command CLUSTER."""
        return self.redis.execute_command("CLUSTER", *arguments)  # type: ignore[no-untyped-call]  # redis does not annotate it

    def kill(self) -> None:
        """End the process without notice."""
        os.kill(self.process.pid, signal.SIGKILL)

    def owns(self, slot: int) -> bool:
        """Return whether this server says that it serves a slot."""
        mine = next(line.split() for line in self.cluster("NODES").decode().splitlines() if "myself" in line)
        ranges = [part.partition("-") for part in mine[8:] if not part.startswith("[")]
        return any(int(first) <= slot <= int(last or first) for first, _, last in ranges)

    def is_ready(self, servers: int) -> bool:
        """Return whether it serves with all other servers: a replica once it follows its primary."""
        info = self.cluster("INFO").decode()
        link = self.redis.info("replication").get("master_link_status", "up")
        return "cluster_state:ok" in info and f"cluster_known_nodes:{servers}" in info and link == "up"


class Cluster:
    """The servers: primaries first, in the order of their shards, then the replica of each."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """Return the value of PIX_STATE."""
        return f"valkey-cluster://{LOOPBACK}:{self.nodes[0].port}"

    @property
    def owners(self) -> list[Node]:
        """Return the server of each shard, without those that are down."""
        return [node for slot in SLOTS for node in self.nodes if answers(lambda: node.owns(slot))]  # noqa: B023 (called at once)

    def move(self, shard: int, target: Node, between: Callable[[], None]) -> None:
        """Move the slot of a shard to a primary, key by key, and do something between."""
        slot, source = SLOTS[shard], self.owners[shard]
        target.cluster("SETSLOT", slot, "IMPORTING", source.name)
        source.cluster("SETSLOT", slot, "MIGRATING", target.name)
        while keys := source.cluster("GETKEYSINSLOT", slot, 20):
            source.redis.execute_command("MIGRATE", LOOPBACK, target.port, "", 0, 5_000, "KEYS", *keys)  # type: ignore[no-untyped-call]  # redis does not annotate it
            between()
        for node in (target, source, *self.nodes):
            if node.redis.info("replication")["role"] == "master":
                node.cluster("SETSLOT", slot, "NODE", target.name)

    def empty(self) -> None:
        """Remove all records."""
        for node in self.owners:
            node.redis.flushall()


def answers(question: Callable[[], bool]) -> bool:
    """Return whether a server says yes; one that is down does not."""
    try:
        return question()
    except RedisError:
        return False


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition of the cluster holds."""
    ends = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < ends, "the cluster does not become ready"
        time.sleep(0.05)


@contextmanager
def cluster(
    kind: ValkeyKind | None, directory: Path, shards: int = SHARDS, replicas: int = SHARDS
) -> Iterator[Cluster]:
    """Run a cluster of servers of a kind, a primary for each shard; None takes the kind that there is."""
    with Supervisor() as supervisor, ExitStack() as clients:
        nodes = [_started(kind, directory / str(i), supervisor) for i in range(shards + replicas)]
        for node in nodes:
            clients.enter_context(closing(node.redis))
        _join(nodes, slots_of(shards))
        yield Cluster(nodes)


def _started(kind: ValkeyKind | None, directory: Path, supervisor: Supervisor) -> Node:
    server, bus = valkey_server(directory, kind), claim_port(0, "--cluster-port")
    server.child.argv.extend(
        ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", str(bus)]
    )
    supervisor.start(server.child)
    return Node(server.port, bus, server.child)


def _join(nodes: list[Node], slots: list[int]) -> None:
    primaries, replicas, known = nodes[: len(slots)], nodes[len(slots) :], f"cluster_known_nodes:{len(nodes)}"
    order = sorted(range(len(slots)), key=slots.__getitem__)
    bounds = [0, *(slots[shard] for shard in order[1:]), _SLOTS]
    for i, shard in enumerate(order):
        primaries[shard].cluster("ADDSLOTSRANGE", bounds[i], bounds[i + 1] - 1)
        primaries[shard].cluster("SET-CONFIG-EPOCH", shard + 1)
    for node in nodes[1:]:
        nodes[0].cluster("MEET", LOOPBACK, node.port, node.bus)
    until(lambda: all(known in node.cluster("INFO").decode() for node in nodes))
    for primary, replica in zip(primaries, replicas, strict=False):
        until(lambda: answers(lambda: replica.cluster("REPLICATE", primary.name) == b"OK"))  # noqa: B023 (called at once)
    until(lambda: all(node.is_ready(len(nodes)) for node in nodes))
