"""Measure the cost of a transaction in each history store, in batches like those of the score function.

Microseconds depend on the machine; the ratio to memory in the same run is comparable across machines. For a server
its processor time is shown too. As scripts run one at a time, it bounds the throughput of one core.

    python -m tests.benchmarks.history_stores
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from infra.local.processes import Supervisor
from infra.local.valkey.launch import ValkeyServer, valkey_server
from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.valkey.history import ValkeyHistory
from shared.contract.event import Event
from shared.features.columns import Events
from shared.ports import Claim, History
from tests.contract.history_stores import SERVERS, opened
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


async def cost(history: History, events: list[Event], size: int, redis: ValkeyHistory | None = None) -> Cost:
    """Measure the observation of events in batches of `size`."""
    before, started = await server_seconds(redis), time.perf_counter()
    for start in range(0, len(events), size):
        await history.observe(Events(events[start : start + size]), CLAIM)
    elapsed, after = time.perf_counter() - started, await server_seconds(redis)
    used = None if before is None or after is None else (after - before) / len(events) * 1e6
    return Cost(elapsed / len(events) * 1e6, used)


async def server_seconds(history: ValkeyHistory | None) -> float | None:
    """Return the processor time used by a server, None for history in memory."""
    if history is None:
        return None
    found = await history.redis.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


async def measure(servers: list[ValkeyServer], count: int, repeats: int) -> dict[tuple[str, int], Cost]:
    """Return the lowest cost of several repeats, by store and batch size."""
    costs: dict[tuple[str, int], Cost] = {}
    for repeat in range(repeats):
        for size in SIZES:
            events = stream(count, repeat)
            found = {"memory": await cost(MemoryHistoryAdapter(), events, size)}
            for server in servers:
                history = ValkeyHistory.connect(server.url, 5, 60, 900, 86_400)
                # SYNC, so that nothing is freed while it is measured.
                await history.redis.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]  # redis does not annotate it
                await asyncio.to_thread(opened, server)
                await history.observe(Events([event()]), CLAIM)
                found[server.kind] = await cost(history, events, size, history)
                await history.close()
            for kind, each in found.items():
                costs[kind, size] = min(each, costs.get((kind, size), each))
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
    print("store      batch  us/transaction  to memory  server's processor, us  transactions/s on one core")
    for (kind, size), each in sorted(costs.items(), key=lambda item: (item[0][1], item[1].elapsed)):
        own = f"{each.server:22.1f}  {1e6 / each.server:26,.0f}" if each.server else ""
        print(f"{kind:9}  {size:5}  {each.elapsed:14.1f}  {each.elapsed / costs['memory', size].elapsed:9.1f}  {own}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
