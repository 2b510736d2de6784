"""Measure history at scale: `make bench-scale`.

Memory of a daily Pix before and after packing, processor time of the store and round trips for each Pix, recovery of
ten million records, and the score function by pull beside push. The last line of standard output is the result as
JSON. History lives on one primary, so there is no figure for two or three.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from redis import Redis
from rich.console import Console

from infra.local.processes import Supervisor
from infra.local.valkey.launch import ValkeyServer, valkey_server
from jobs.cli import wiring
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.store import PREFIX, ValkeyStore
from shared.adapters.valkey.wire import LETTERS, Keeping
from shared.features.layout import LAYOUTS
from tests.benchmarks.history_stores import cost, stream
from tests.benchmarks.recovery import DAYS, MEASURED, recovery_seconds
from tests.benchmarks.sizes import record_bytes

BATCH = 128
RECORD_SECONDS = 86_400
_PART = 2_000


class Primary(Struct):
    """Cost of a Pix that is asked for and settles, on primaries of some number."""

    store_us_per_pix: float
    """Processor time of the store, microseconds."""
    round_trips_per_batch: float
    """Calls of the store for a micro-batch of BATCH."""


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


async def primary(server: ValkeyServer, transactions: int) -> Primary:
    """Return the cost of transactions on one primary."""
    with (
        closing(ValkeyStore.connect(server.url, RECORD_SECONDS)) as load,
        closing(Redis.from_url(server.url)) as redis,
    ):
        redis.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]  # redis does not annotate it
        load.open()
        history = ValkeyHistory.connect(server.url, 5, 60, Keeping(9_000, 900, RECORD_SECONDS))
        events = stream(transactions, 7)
        await cost(history, events[:BATCH], BATCH)
        redis.config_resetstat()
        found = await cost(history, events[BATCH:], BATCH, history, settled=True)
        calls = redis.info("commandstats")["cmdstat_evalsha"]["calls"]
        await history.close()
    assert found.server is not None
    return Primary(round(found.server, 1), round(calls / -(-(transactions - BATCH) // BATCH), 2))


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
        one = asyncio.run(primary(server, min(options.transactions, 20_000)))
    console.print(f"recovery of {options.recovered:,} records ...")
    recovered = recovery_seconds(options.recovered)
    fed = measured(["valkey"], options.seconds, options.transactions)["valkey"]
    feeds = {name: fed[name] for name in ("push_tx_per_s", "pull_tx_per_s", "usd_per_million_pull")}
    result = Result({"1": one}, round(after, 1), round(before, 1), round(recovered, 1), **feeds)
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
