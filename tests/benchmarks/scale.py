"""Measure history at scale: `make bench-scale`.

Memory of a daily Pix before and after packing, processor time of the store and round trips for each Pix on one, two
and three primaries, recovery of ten million records, and the score function by pull beside push. The last line of
standard output is the result as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from redis import Redis
from rich.console import Console

from infra.local.processes import Supervisor
from infra.local.valkey.launch import ValkeyServer, valkey_server
from jobs.cli import wiring
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.script import Script
from shared.adapters.valkey.store import PREFIX, ValkeyStore
from shared.adapters.valkey.wire import LETTERS, Argument, Keeping
from shared.features.layout import LAYOUTS
from tests.benchmarks.history_stores import cost, stream
from tests.benchmarks.recovery import DAYS, MEASURED, recovery_seconds
from tests.benchmarks.sizes import record_bytes
from tests.contract.valkey_cluster import cluster

BATCH = 128
RECORD_SECONDS = 86_400
_PART = 2_000


class Primary(Struct):
    """Cost of a Pix that is asked for and settles, on primaries of some number, each with a shard of history."""

    store_us_per_pix: float
    """Processor time of all primaries, microseconds."""
    calls_per_batch: float
    """Calls of all primaries for a micro-batch of BATCH."""
    round_trips_per_batch: float
    """Those of them that wait for each other: the primaries are called at the same time."""


class Result(Struct):
    """The JSON result."""

    primaries: dict[str, Primary]
    bytes_per_daily_pix: float
    bytes_per_daily_pix_before: float
    """Of records in keys of their own, as doubles."""
    recovery_s_10m: float
    push_tx_per_s: float
    pull_tx_per_s: float
    usd_per_million_pull: float


def bytes_before(url: str, count: int) -> dict[str, float]:
    """Return the memory of a record by kind, each in a key of its own, as doubles with an expiry."""
    found, chance = {}, np.random.default_rng(7)
    with closing(Redis.from_url(url)) as redis:
        for layout in LAYOUTS:
            redis.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]  # redis does not annotate it
            used = redis.info("memory")["used_memory"]
            for start in range(0, count, _PART):
                rows = min(_PART, count - start)
                keys, values = chance.bytes(8 * rows), chance.random((rows, layout.width)).astype("<f8").tobytes()
                width = 8 * layout.width
                with redis.pipeline(transaction=False) as pipeline:
                    for i in range(rows):
                        name = PREFIX + LETTERS[layout.kind].encode() + keys[8 * i : 8 * i + 8]
                        pipeline.set(name, values[width * i : width * (i + 1)], ex=RECORD_SECONDS)
                    pipeline.execute()
            found[layout.kind] = (redis.info("memory")["used_memory"] - used) / count
    return found


def of_a_daily_pix(records: dict[str, float]) -> float:
    """Return the bytes of the records that one Pix a day keeps, given the bytes of a record of each kind."""
    keys = msgspec.json.decode(MEASURED.read_bytes())["measured"]["keys_per_daily_pix"]["values"][DAYS]
    return float(sum(records[kind.removesuffix("s")] * count for kind, count in keys.items()))


async def primary(url: str, servers: Sequence[Redis], transactions: int) -> Primary:
    """Return the cost of transactions on servers that hold a shard each."""
    shards = len(servers)
    with closing(ValkeyStore.connect(url, RECORD_SECONDS, shards)) as load:
        for server in servers:
            server.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]  # redis does not annotate it
        load.open()
    history = ValkeyHistory.connect(url, 5, 60, Keeping(9_000, 900, RECORD_SECONDS), shards)
    trips = Trips(history)
    events = stream(transactions, 7)
    await cost(history, events[:BATCH], BATCH)
    for server in servers:
        server.config_resetstat()
    before, trips.count = _busy(servers), 0
    await cost(history, events[BATCH:], BATCH, settled=True)
    batches, used = -(-(transactions - BATCH) // BATCH), _busy(servers) - before
    calls = sum(server.info("commandstats")["cmdstat_evalsha"]["calls"] for server in servers)
    await history.close()
    us = 1e6 * used / (transactions - BATCH)
    return Primary(round(us, 1), round(calls / batches, 2), round(trips.count / batches, 2))


class Trips:
    """The number of times that a history waits for its store: calls at the same time are one."""

    def __init__(self, history: ValkeyHistory) -> None:
        self.count = self._open = 0
        self._inner, history.store = history.store, self

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script."""
        self.count += self._open == 0
        self._open += 1
        try:
            return await self._inner.run(script, keys, arguments)
        finally:
            self._open -= 1

    async def reach(self) -> None:
        """Ask for any answer."""
        await self._inner.reach()

    async def close(self) -> None:
        """Close the connections."""
        await self._inner.close()


def _busy(servers: Sequence[Redis]) -> float:
    """Return the processor time that servers have used, in seconds."""
    used = [server.info("cpu") for server in servers]
    return sum(float(each["used_cpu_user"]) + float(each["used_cpu_sys"]) for each in used)


def primaries(server: ValkeyServer, home: Path, transactions: int) -> dict[str, Primary]:
    """Return the cost of transactions on one, two and three primaries."""
    with closing(Redis.from_url(server.url)) as redis:
        found = {"1": asyncio.run(primary(server.url, [redis], transactions))}
    for count in (2, 3):
        with cluster(None, home / f"cluster-{count}", count, replicas=0) as running:
            nodes = [node.redis for node in running.nodes]
            found[str(count)] = asyncio.run(primary(running.url, nodes, transactions))
    return found


def main() -> int:
    """Print the result and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    add = parser.add_argument
    add("--records", type=int, default=100_000, metavar="N", help="records of each kind (default: %(default)s)")
    add("--recovered", type=int, default=10_000_000, metavar="N", help="records to recover (default: %(default)s)")
    add("--transactions", type=int, default=150_000, metavar="N", help="by push and by pull (default: %(default)s)")
    add("--seconds", type=float, default=4.0, metavar="S", help="of a turn of push or pull (default: %(default)s)")
    options = parser.parse_args()
    wiring.prepare(os.environ)  # before scikit-learn is imported
    from tests.benchmarks.pull.run import measured

    console = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as home, Supervisor() as supervisor:
        server = valkey_server(Path(home))
        supervisor.start(server.child)
        console.print("memory of records ...")
        before = of_a_daily_pix(bytes_before(server.url, options.records))
        after = of_a_daily_pix(record_bytes(server.url, options.records))
        console.print("the store, a Pix at a time ...")
        found = primaries(server, Path(home), min(options.transactions, 20_000))
    console.print(f"recovery of {options.recovered:,} records ...")
    recovered = recovery_seconds(options.recovered)
    fed = measured(["valkey"], options.seconds, options.transactions)["valkey"]
    feeds = {name: fed[name] for name in ("push_tx_per_s", "pull_tx_per_s", "usd_per_million_pull")}
    result = Result(found, round(after, 1), round(before, 1), round(recovered, 1), **feeds)
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
