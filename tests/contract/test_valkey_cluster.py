"""History on a real cluster: a primary that is killed, and a slot that moves, under traffic."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from redis.asyncio.connection import Connection

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.valkey.clients import ClusterClient, client
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.store import ValkeyStore
from shared.contract.event import Event
from shared.errors import Unavailable
from shared.features.columns import Events
from shared.features.places import Place
from tests.contract.history_stores import SERVERS
from tests.contract.stored_records import assert_same_records, expected_records, stored_records
from tests.contract.test_shards import CLAIM, KEEPING, assert_every_place_once, judge, pix_of, settle
from tests.contract.valkey_cluster import SHARDS, SLOTS, Cluster, cluster, until
from tests.unit.sharded import ShardedBank, assert_equal_when_replayed, live

SECONDS = 60.0


@pytest.fixture(params=SERVERS[:1])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(request.param, tmp_path_factory.mktemp("cluster")) as nodes:
        with closing(ValkeyStore.connect(nodes.url, 86_400, SHARDS)) as load:
            assert load.is_empty()
            load.open()
            assert not load.is_empty()
        yield nodes


def test_a_cluster_that_is_away_is_unavailable() -> None:
    url = "valkey-cluster://127.0.0.1:1"
    history = ValkeyHistory(client(url, 0.2, 0.2), KEEPING, SHARDS)

    async def asked() -> None:
        await history.observe(Events([pix_of(random.Random(1), 1)]), CLAIM)

    with pytest.raises(Unavailable, match="RedisClusterException"):
        asyncio.run(asked())
    with closing(ValkeyStore.connect(url, 86_400, SHARDS)) as store, pytest.raises(Unavailable):
        store.is_empty()


def test_a_client_closes_connections_to_nodes_that_have_left(running: Cluster) -> None:
    async def open_after_closing() -> list[Connection]:
        reached = client(running.url, 1, 1)
        assert isinstance(reached, ClusterClient)
        history, nodes = ValkeyHistory(reached, KEEPING, SHARDS), reached.redis.nodes_manager
        await history.observe(Events([pix_of(random.Random(1), 1)]), CLAIM)
        # As a call does that has no answer yet.
        acquired = [node.acquire_connection() for node in nodes.nodes_cache.values()]
        taken = [each for each in acquired if each.is_connected]
        assert taken
        nodes.set_nodes(nodes.nodes_cache, {}, remove_old=True)
        await reached.close()
        return [each for each in taken if each.is_connected]

    assert asyncio.run(open_after_closing()) == []


class Stream:
    """Pix that are asked for, settled and judged, each call until it is done, in a cluster and in memory."""

    def __init__(self, nodes: Cluster) -> None:
        self.nodes, self.memory, self.places = nodes, MemoryHistoryAdapter(), set[int]()
        self.history = ValkeyHistory(client(nodes.url, 1, 1), KEEPING, SHARDS)
        self.chance, self.number, self.failures = random.Random(3), 0, 0

    async def run(self, count: int) -> None:
        for _ in range(count):
            pix = pix_of(self.chance, self.number)
            await self._ask(pix)
            for tell, chosen in ((settle, self.number % 3), (judge, self.number % 4 == 0)):
                while chosen:
                    with suppress(Unavailable):
                        place, others = await tell(self.history, pix)
                        self.places |= {*others} | ({place} if place else set())
                        await tell(self.memory, pix)
                        break
                    await self._wait()
            self.number += 1

    async def _ask(self, pix: Event) -> None:
        while True:
            with suppress(Unavailable):
                seen = await self.history.observe(Events([pix]), CLAIM)
                self.places |= {int(seen.sequence[0]), *seen.visited[0]}
                break
            await self._wait()
        await self.memory.observe(Events([pix]), CLAIM)

    async def _wait(self) -> None:
        self.failures += 1
        await asyncio.sleep(0.02)

    def assert_nothing_lost(self) -> None:
        """Assert that every change was counted once, and that the records are those of memory."""
        assert_every_place_once(self.places)
        servers = {node.port: node.redis for node in self.nodes.owners}.values()
        found = stored_records(servers, SHARDS)
        assert_same_records(found, expected_records(self.memory.history))


def test_a_cluster_counts_as_one_history(running: Cluster) -> None:
    stream = Stream(running)

    async def scenario() -> None:
        await stream.run(40)
        for node in running.owners:
            node.redis.script_flush()
        await stream.run(10)
        await stream.history.close()

    asyncio.run(scenario())
    assert stream.failures == 0
    assert {Place.of(place).shard for place in stream.places} == set(range(SHARDS))
    stream.assert_nothing_lost()


def test_a_replay_of_all_shards_gives_the_served_features(running: Cluster) -> None:
    """Calls that mix on the servers count in another order on each shard."""
    history = ValkeyHistory(client(running.url, 1, 30), KEEPING, SHARDS)
    bank = ShardedBank(history, random.Random(4))

    async def scenario() -> None:
        await live(bank, 90)
        await history.close()

    asyncio.run(scenario())
    assert max(len(row.visited) for row in bank.rows) == SHARDS - 1
    assert_equal_when_replayed(bank)


def test_a_killed_primary_loses_nothing_that_was_answered(running: Cluster) -> None:
    stream = Stream(running)
    killed = running.owners[1]

    async def scenario() -> None:
        await stream.run(15)
        traffic = asyncio.create_task(stream.run(25))
        await asyncio.sleep(0.05)
        killed.kill()
        await asyncio.wait_for(traffic, SECONDS)
        await stream.history.close()

    asyncio.run(scenario())
    assert stream.failures > 0
    with closing(ValkeyStore.connect(running.url, 86_400, SHARDS)) as store:
        ended = store.epochs()
    assert [each.shard for each in ended] == [1], "the replica counts in an epoch of its own"
    lost = [place for place in map(Place.of, stream.places) if place.part == ended[0].part]
    assert max(place.number for place in lost) == ended[0].kept
    stream.assert_nothing_lost()


def test_a_slot_moves_under_traffic(running: Cluster) -> None:
    """While its keys move, a call that names one that has left is refused; nothing is counted on the other side."""
    stream = Stream(running)

    async def scenario() -> None:
        await stream.run(30)
        traffic = asyncio.create_task(stream.run(40))
        await asyncio.to_thread(running.move, 1, running.owners[2], lambda: time.sleep(0.05))
        await asyncio.wait_for(traffic, SECONDS)
        await stream.history.close()

    asyncio.run(scenario())
    assert running.owners[1] is running.owners[2]
    assert stream.failures > 0
    stream.history = ValkeyHistory(client(running.url, 1, 1), KEEPING, SHARDS)

    async def moved() -> None:
        await stream.run(5)
        await stream.history.close()

    asyncio.run(moved())
    stream.assert_nothing_lost()


@pytest.mark.parametrize("running", [kind for kind in SERVERS if kind == "packaged"], indirect=True)
def test_a_slot_that_moves_as_a_whole_answers_every_call(running: Cluster) -> None:
    """Valkey 9 moves a slot like a replica, and then lets the other server answer."""
    stream, moved = Stream(running), asyncio.Event()

    async def traffic() -> None:
        while not moved.is_set():
            await stream.run(1)
        await stream.run(5)

    async def scenario() -> None:
        await stream.run(20)
        asking = asyncio.create_task(traffic())
        source, target = running.owners[1], running.owners[2]
        answer = await asyncio.to_thread(
            source.cluster, "MIGRATESLOTS", "SLOTSRANGE", SLOTS[1], SLOTS[1], "NODE", target.name
        )
        assert answer == b"OK"
        await asyncio.to_thread(until, lambda: target.owns(SLOTS[1]))
        moved.set()
        await asyncio.wait_for(asking, SECONDS)
        await stream.history.close()

    asyncio.run(scenario())
    assert running.owners[1] is running.owners[2]
    assert stream.failures == 0
    stream.assert_nothing_lost()
