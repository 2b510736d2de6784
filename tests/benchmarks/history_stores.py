"""Measure the cost of a transaction in each history store, in batches like those of the score function.

A batch is asked for, or asked for and settled as if all were approved and their outcomes assumed: two calls.

Microseconds depend on the machine; the ratio to memory in the same run is comparable across machines. For a server
its processor time is shown too. As scripts run one at a time, it bounds the throughput of one core.

    python -m tests.benchmarks.history_stores
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis

from infra.local.processes import Supervisor
from infra.local.valkey.launch import ValkeyServer, valkey_server
from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.valkey.clients import ServerClient
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.wire import Keeping
from shared.contract.event import Event
from shared.features.columns import Events
from shared.ports.history import Claim
from shared.scoring.conclusions import Conclusions
from shared.settings import ASSUMED
from tests.contract.history_stores import SERVERS, SharedHistory, opened
from tests.unit.streams import event, pseudonym

SIZES = (64, 256)
CLAIM = Claim("v1", 1)


class Cost(NamedTuple):
    """Microseconds for each transaction: elapsed, and processor time of the server (None: unknown)."""

    elapsed: float
    server: float | None


def stream(count: int, seed: int) -> list[Event]:
    """Return `count` transactions among count / 4 accounts; one in ten goes to one of twenty busy payees."""
    chance = random.Random(seed)
    accounts = [pseudonym(f"a{i}") for i in range(count // 4)]
    devices = [pseudonym(f"d{i}") for i in range(count // 6)]
    return [
        event(
            chance.choice(accounts),
            chance.choice(accounts[:20] if chance.random() < 0.1 else accounts),
            seconds,
            chance.randint(100, 100_000),
            device_id=chance.choice(devices),
        )
        for seconds in range(count)
    ]


async def cost(
    history: SharedHistory, events: list[Event], size: int, redis: ValkeyHistory | None = None, settled: bool = False
) -> Cost:
    """Measure the observation of events, and their settlement, in batches of `size`."""
    before, started = await server_seconds(redis), time.perf_counter()
    conclusions = Conclusions(history, ASSUMED)
    for start in range(0, len(events), size):
        batch = Events(events[start : start + size])
        seen = await history.observe(batch, CLAIM)
        if settled:
            ids, sides = [event.end_to_end_id for event in batch], [event.side for event in batch]
            await conclusions.conclude(ids, sides, seen.lives, ["APPROVE"] * len(batch))
    elapsed, after = time.perf_counter() - started, await server_seconds(redis)
    used = None if before is None or after is None else (after - before) / len(events) * 1e6
    return Cost(elapsed / len(events) * 1e6, used)


async def server_seconds(history: ValkeyHistory | None) -> float | None:
    """Return the processor time used by a server, None for history in memory."""
    if history is None:
        return None
    found = await _redis(history).info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def _redis(history: ValkeyHistory) -> Redis:
    assert isinstance(history.store, ServerClient)
    return history.store.redis


Work = tuple[str, int, bool]
"""Store, batch size, and whether the transactions settle."""


async def measure(servers: list[ValkeyServer], count: int, repeats: int) -> dict[Work, Cost]:
    """Return the lowest cost of several repeats."""
    costs: dict[Work, Cost] = {}
    for repeat, size, settled in itertools.product(range(repeats), SIZES, (False, True)):
        events = stream(count, repeat)
        found = {"memory": await cost(MemoryHistoryAdapter(), events, size, settled=settled)}
        for server in servers:
            history = ValkeyHistory.connect(server.url, 5, 60, Keeping(9_000, 900, 86_400))
            # SYNC, so that nothing is freed while it is measured.
            await _redis(history).execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]  # redis does not annotate it
            await asyncio.to_thread(opened, server)
            await history.observe(Events([event()]), CLAIM)
            found[server.kind] = await cost(history, events, size, history, settled)
            await history.close()
        for kind, each in found.items():
            costs[kind, size, settled] = min(each, costs.get((kind, size, settled), each))
    return costs


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.history_stores", description=__doc__)
    parser.add_argument("--transactions", type=int, default=20_000, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--repeats", type=int, default=3, metavar="N", help="repeats; the best counts (default: %(default)s)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, Supervisor() as supervisor:
        servers = [valkey_server(Path(home) / kind, kind) for kind in SERVERS]
        for server in servers:
            supervisor.start(server.child)
        costs = asyncio.run(measure(servers, options.transactions, options.repeats))
    print("store      batch  settled  us/transaction  to memory  server's processor, us  transactions/s on one core")
    for (kind, size, settled), each in sorted(costs.items(), key=lambda item: (item[0][1:], item[1].elapsed)):
        own = f"{each.server:22.1f}  {1e6 / each.server:26,.0f}" if each.server else ""
        times = each.elapsed / costs["memory", size, settled].elapsed
        print(f"{kind:9}  {size:5}  {'yes' if settled else 'no':7}  {each.elapsed:14.1f}  {times:9.1f}  {own}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
