"""Measure the sizes in infra/capacity/measured.json that no other benchmark measures.

    python -m tests.benchmarks.sizes

Messages and rows are simulated. `stored_row` is the size charged by BigQuery
(https://cloud.google.com/bigquery/pricing#data): 8 bytes a number, 2 plus its length a string, nothing for NULL.
`keys_per_daily_pix` is the number of history records of each kind after 30, 90 and 180 days, for each Pix a day;
`hourly_shares` the share of Pix in each local hour. Memory and processor time are those of the local Valkey or
Redis. Processor time is a line fitted through the best of several repeats at each batch size: a constant for a batch
and a slope for each transaction or outcome in it. A batch of transactions is one call of the script, one of outcomes
(each settles a transaction of before) is two. `client_outcome` is the processor time of this process for an outcome
in a batch of 64, without its message and its row. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import itertools
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw, Struct
from numpy.typing import NDArray
from redis import Redis

from infra.local.processes import Supervisor
from infra.local.simulator.clock import local_hour
from infra.local.simulator.config import SimulationConfig
from infra.local.simulator.run import simulate
from infra.local.valkey.launch import valkey_server
from shared.adapters.bigquery.encoding import RowEncoder
from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.store import ValkeyStore
from shared.adapters.valkey.wire import Keeping
from shared.contract.event import Event
from shared.contract.mapping import event_of
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import OutcomeRow, ScoreRow
from shared.contract.tables import table
from shared.contract.topics import TRANSACTIONS
from shared.contract.transaction import Transaction
from shared.features.columns import Columns, Events
from shared.features.facts import PLACES, Facts, asks
from shared.features.layout import CONTACT, LAYOUTS
from shared.features.state import Records, State
from shared.features.vector import feature_matrix
from shared.ports.history import Claim
from shared.serving.outcome_service import CountedOutcomes
from tests.benchmarks.history_stores import cost, server_seconds, stream

END = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
SIZES = (1, 4, 16, 64, 256)
RECORD_DAYS = (30, 90, 180)
CONTACTS = 50
"""Contacts of a payer, of whose memory their hash and its key are a share."""
CLAIM = Claim("20250101T000000Z-0123456789ab", 1)
_CHUNK = 4096
_WIDTHS = {"INT64": 8, "FLOAT64": 8, "TIMESTAMP": 8, "DATE": 8, "NUMERIC": 16, "BOOL": 1}


class Sizes(Struct):
    """Bytes of a message and of its row, on the wire and stored, and of the row of its settlement."""

    message: float
    row: float
    stored_row: float
    outcome_row: float
    stored_outcome_row: float


class Processor(Struct):
    """Processor time in microseconds: of the server for a batch and for each item in it, and of the client."""

    call: float
    transaction: float
    outcome_calls: float
    outcome: float
    client_outcome: float


class Line(Struct):
    """One line of an event file."""

    topic: str
    data: Raw


def messages(transactions: int, days: int, customers: int) -> Iterator[bytes]:
    """Yield the messages of simulated transactions, in time order."""
    config = SimulationConfig(end=END, transactions=transactions, days=days, customers=customers, seed=7)
    lines = map(msgspec.json.Decoder(Line).decode, simulate(config))
    return (bytes(line.data) for line in lines if line.topic == TRANSACTIONS)


def chunks(bodies: Iterator[bytes]) -> Iterator[list[Event]]:
    """Yield the events of messages in chunks."""
    decode, pseudonymiser = msgspec.json.Decoder(Transaction).decode, Pseudonymiser(b"benchmark")
    while some := list(itertools.islice(bodies, _CHUNK)):
        yield [event_of(decode(body), pseudonymiser) for body in some]


def keys_per_daily_pix(events_of_days: list[Facts], per_day: float) -> dict[int, dict[str, float]]:
    """Count the distinct keys of each kind in the last RECORD_DAYS, for each event a day."""
    end = int(END.timestamp())
    found: dict[int, dict[str, float]] = {}
    for days in RECORD_DAYS:
        parts = [facts.at >= end - days * 86_400 for facts in events_of_days]
        columns = {
            "accounts": ("payer", "payee"),
            "contacts": ("pair", "handset"),
            "devices": ("device",),
            "persons": ("customer",),
        }
        found[days] = {
            kind: round(
                _distinct(
                    [
                        f.keys[part, PLACES[name]]
                        for f, part in zip(events_of_days, parts, strict=True)
                        for name in names
                    ]
                )
                / per_day,
                2,
            )
            for kind, names in columns.items()
        }
    return found


def hourly_shares(events_of_days: list[Facts]) -> list[float]:
    """Return the share of events in each local hour."""
    milliseconds = (np.concatenate([facts.at for facts in events_of_days]) * 1e3).astype(np.int64)
    hours = local_hour(milliseconds).astype(np.int64)
    shares: list[float] = (np.bincount(hours, minlength=24) / len(hours)).round(4).tolist()
    return shares


def _distinct(columns: list[np.ndarray]) -> int:
    return int(np.count_nonzero(np.unique(np.concatenate([np.unique(column) for column in columns]))))


async def sizes(bodies: list[bytes]) -> Sizes:
    """Return the mean sizes over the messages."""
    events = Events(event for chunk in chunks(iter(bodies)) for event in chunk)
    seen = await MemoryHistoryAdapter().observe(events, CLAIM)
    features = feature_matrix(events.columns, seen.reads)
    rows = [
        ScoreRow(
            event,
            1,
            0.01,
            "APPROVE",
            ["NEW_PAYEE", "AMOUNT_ABOVE_HABIT", "PAYEE_BURST"],
            [0.8, 0.4, 0.2],
            CLAIM.model_version,
            False,
            False,
            1,
            i,
            None,
            (),
            (),
            None,
            None,
            None,
            1,
            1,
            1,
            False,
            features[i],
        )
        for i, event in enumerate(events)
    ]
    outcomes = [settlement(event, i) for i, event in enumerate(events)]
    wire = RowEncoder(table("score_events")).encode(rows)
    totals = (
        sum(map(len, bodies)),
        sum(map(len, wire)),
        sum(stored_bytes("score_events", row.columns()) + 8 * _known(row.features) for row in rows),
        sum(map(len, RowEncoder(table("outcomes")).encode(outcomes))),
        sum(stored_bytes("outcomes", row.columns()) for row in outcomes),
    )
    return Sizes(*(round(total / len(bodies)) for total in totals))


def settlement(event: Event, place: int | None = None) -> OutcomeRow:
    """Return the row that a Pix settled when it was asked for."""
    at = event.initiated_at
    return OutcomeRow(event.end_to_end_id, "PAYER", "SETTLED", at, at, history_sequence=place)


def stored_bytes(name: str, columns: Mapping[str, Any]) -> int:
    """Return the size of columns of a table as charged by BigQuery."""
    types = {column.name: column.type for column in table(name).schema}
    return sum(
        _WIDTHS.get(types[column]) or (2 + len(value) if isinstance(value, str) else sum(2 + len(v) for v in value))
        for column, value in columns.items()
    )


def _known(features: NDArray[np.float32]) -> int:
    return int(np.count_nonzero(~np.isnan(features)))


def record_bytes(url: str, count: int) -> dict[str, float]:
    """Return the memory of a record by kind, as the mean over `count` records."""
    found, redis, chance = {}, Redis.from_url(url), np.random.default_rng(7)
    for kind, layout in enumerate(LAYOUTS):
        _emptied(redis)
        empty = list(State.empty().tables)
        owners = np.repeat(chance.integers(1, 1 << 60, -(-count // CONTACTS), dtype=np.uint64), CONTACTS)[:count]
        payers = owners if layout is CONTACT else owners[:0]
        keys = chance.integers(1, 1 << 60, count, dtype=np.uint64) | np.uint64(1)
        empty[kind] = Records(keys, chance.random((count, layout.width)))
        before = redis.info("memory")["used_memory"]
        with closing(ValkeyStore.connect(url, 86_400)) as load:
            load.load(State(tuple(empty), count, payers), {}, lambda _: None)
        found[layout.kind] = round((redis.info("memory")["used_memory"] - before) / count, 1)
    redis.close()
    return found


async def life_bytes(url: str, records: dict[str, float], count: int) -> float:
    """Return the memory of the life of a transaction, without the records that it touches."""
    redis, history = Redis.from_url(url), ValkeyHistory.connect(url, 5, 60, Keeping(9_000, 900, 86_400))
    await _opened(redis, url)
    before = redis.info("memory")["used_memory"]
    events = stream(count, 7)
    for start in range(0, count, 256):
        await history.observe(Events(events[start : start + 256]), CLAIM)
    used = redis.info("memory")["used_memory"] - before
    letters = {layout.kind[:1].encode(): layout.kind for layout in LAYOUTS}
    kinds = [letters.get(key.partition(b"}")[2][:1]) for key in redis.scan_iter(count=10_000)]
    await history.close()
    redis.close()
    lives: float = used - sum(records[kind] for kind in kinds if kind)
    return round(lives / count, 1)


async def processor_us(url: str, repeats: int) -> Processor:
    """Measure the processor time of transactions and of their outcomes at each batch size."""
    best = dict.fromkeys(SIZES, (np.inf, np.inf, np.inf))
    for size, repeat in itertools.product(SIZES, range(repeats)):
        redis, history = Redis.from_url(url), ValkeyHistory.connect(url, 5, 60, Keeping(9_000, 900, 86_400))
        await _opened(redis, url)
        events = stream(min(8_000, 1_000 * size), repeat)
        asked = (await cost(history, events, size, history)).server or np.inf
        found = (asked, *await outcome_us(history, events, size))
        best[size] = tuple(map(min, found, best[size]))  # type: ignore[assignment]  # three of three
        await history.close()
        redis.close()
    asked_us, settled_us, client_us = np.array(list(best.values())).T
    inverse = [1 / size for size in SIZES]
    lines = (*np.polyfit(inverse, asked_us, 1), *np.polyfit(inverse, settled_us, 1))
    return Processor(*(round(float(each), 1) for each in (*lines, client_us[SIZES.index(64)])))


async def outcome_us(history: ValkeyHistory, events: list[Event], size: int) -> tuple[float, float]:
    """Settle events in batches; return the processor time of an outcome, of the server and of this process."""
    outcomes, rows = CountedOutcomes(history, math.inf, lambda: 0), [settlement(event) for event in events]
    before, started = await server_seconds(history), time.process_time()
    for start in range(0, len(rows), size):
        counted = await outcomes.count(rows[start : start + size])
        assert not counted.errors
    used, after = time.process_time() - started, await server_seconds(history)
    assert before is not None
    assert after is not None
    return (after - before) / len(rows) * 1e6, used / len(rows) * 1e6


def _emptied(redis: Redis) -> None:
    # SYNC, as Valkey frees memory in the background by default, which would show in the next measurement.
    redis.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]  # redis does not annotate it


async def _opened(redis: Redis, url: str) -> None:
    _emptied(redis)
    with closing(ValkeyStore.connect(url, 86_400)) as load:
        await asyncio.to_thread(load.open)


def main() -> int:
    """Print the measured sizes; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.sizes", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--customers", type=int, default=1_500, metavar="N", help="simulated persons (default: %(default)s)")
    add("--daily", type=float, default=1.7, metavar="X", help="Pix per customer and day (default: %(default)s)")
    add("--records", type=int, default=100_000, metavar="N", help="records of each kind (default: %(default)s)")
    add("--repeats", type=int, default=3, metavar="N", help="repeats; the best counts (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, Supervisor() as supervisor:
        server = valkey_server(Path(home))
        supervisor.start(server.child)
        records = record_bytes(server.url, options.records)
        records["life"] = asyncio.run(life_bytes(server.url, records, options.records // 5))
        processor = asyncio.run(processor_us(server.url, options.repeats))
    days = max(RECORD_DAYS)
    transactions = round(options.customers * days * options.daily)
    facts = [asks(Columns.of(c)) for c in chunks(messages(transactions, days, options.customers))]
    found = {
        "bytes": asyncio.run(sizes(list(messages(20_000, 30, 800)))),
        "record_bytes": records,
        "processor_us": processor,
        "keys_per_daily_pix": keys_per_daily_pix(facts, transactions / days),
        "hourly_shares": hourly_shares(facts),
    }
    print(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
