"""Measure history and the feature vector: `python -m tests.benchmarks.history --help`.

Times micro-batches of 64 in memory (message facts, history, vector), the plain Python reference on the same events
and compiled replay, then measures the memory of a history with many keys.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import time
from collections.abc import Callable

import msgspec
import numpy as np

from shared.contract.event import Event
from shared.features.catalogue import FEATURES
from shared.features.columns import Columns
from shared.features.history import MemoryHistory
from shared.features.keys import keys_of
from shared.features.vector import feature_matrix
from shared.replay.recurrence import CHUNK, Chunk, Replay, replay_columns
from tests.unit.lives import settle
from tests.unit.reference_history import ReferenceHistory
from tests.unit.streams import MORNING

BATCH = 64
_STATISTICS = (
    '{"watermark":"2026-11-18T00:00:00Z","settlements":{"d90":3,"m12":9,"m60":20},"registered_accounts":2,'
    '"fraud_markers":{"mule_accounts":{"d90":0,"m12":0,"m60":0}},"infraction_reports":{"open":0}}'
)


def traffic(count: int, accounts: int, seed: int = 1) -> list[Event]:
    """Return Pix half a second apart; few accounts receive many of them, and each payer has its own device."""
    rng = np.random.default_rng(seed)
    payers, payees = rng.integers(accounts, size=count), (accounts * rng.random(count) ** 2).astype(int)
    amounts = np.exp(rng.normal(9, 1, count)).astype(int) + 1
    return [
        Event(
            end_to_end_id=f"E{i:031d}",
            initiated_at=MORNING + i * 500_000,
            amount=int(amounts[i]),
            initiation_form="DICT",
            purpose="IPAY",
            payer_id=f"{payers[i]:016x}{0:016x}",
            payer_person_id=f"{payers[i]:032x}",
            payer_ispb="12345678",
            payee_id=f"{payees[i]:016x}{0:016x}",
            payee_ispb="87654321",
            payee_key_type="PHONE",
            payee_key_owned_since=20_000,
            device_id=f"{payers[i]:016x}{1:016x}",
            device_registered=True,
            device_registered_at=MORNING,
            payee_statistics=_STATISTICS,
        )
        for i in range(count)
    ]


def micro_batches(events: list[Event]) -> dict[str, float]:
    """Return microseconds per transaction of each step, by the median batch of the second half."""
    history, steps = MemoryHistory(), []
    for start in range(0, len(events), BATCH):
        t0 = time.perf_counter()
        columns = Columns.of(events[start : start + BATCH])
        t1 = time.perf_counter()
        reads, _ = history.observe(columns)
        settle(history, columns, reads)
        t2 = time.perf_counter()
        feature_matrix(columns, reads)
        steps.append((t1 - t0, t2 - t1, time.perf_counter() - t2))
    median = np.median(steps[len(steps) // 2 :], axis=0) / BATCH * 1e6
    return dict(zip(("message", "history", "vector"), median.tolist(), strict=True))


def seconds(work: Callable[[], object]) -> float:
    """Return the duration of `work`."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def reference(events: list[Event]) -> None:
    """Run the plain Python reference (counters only)."""
    history = ReferenceHistory()
    for event in events:
        history.settle(event, history.ask(event))


def replayed(columns: Columns, vector: bool) -> float:
    """Return replayed transactions per second, with the full vector or counters alone, without compilation."""
    Replay().run(Chunk.settled(columns[:10]))
    replay = Replay()
    if vector:
        taken = seconds(lambda: [None for _ in replay_columns([columns], replay)])
    else:
        parts = [Chunk.settled(columns[i : i + CHUNK]) for i in range(0, len(columns), CHUNK)]
        taken = seconds(lambda: [replay.run(part) for part in parts])
    return len(columns) / taken


def megabytes(columns: Columns, accounts: int, pairs: int) -> float:
    """Return the resident memory, in MB, of a history with this many accounts and pairs."""
    rng = np.random.default_rng(2)
    names = keys_of([f"{i:032x}"[::-1] for i in range(accounts)])
    devices = keys_of([f"{i:032x}"[::-1] for i in range(accounts, 2 * accounts)])
    history, before = MemoryHistory(), _resident()
    template = columns[:BATCH]
    for start in range(0, pairs, BATCH):
        payers = (start + np.arange(BATCH)) % accounts
        columns = dataclasses.replace(
            template, payer=names[payers], payee=names[rng.integers(accounts, size=BATCH)], device=devices[payers]
        )
        settle(history, columns, history.observe(columns)[0])
    return _resident() - before


def _resident() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 (not a file on disk)
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    """Print the figures, the last line as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=51_200, help="transactions in micro-batches (default 51200)")
    parser.add_argument("--accounts", type=int, default=20_000, help="number of accounts (default 20000)")
    parser.add_argument("--replayed", type=int, default=300_000, help="transactions to replay (default 300000)")
    parser.add_argument("--pairs", type=int, default=1_000_000, help="pairs for the memory figure; 0 skips it")
    options = parser.parse_args()
    events = traffic(options.events, options.accounts)
    steps = micro_batches(events)
    sample = events[: min(len(events), 2_000)]
    plain = seconds(lambda: reference(sample)) / len(sample) * 1e6
    columns = Columns.of(events)
    many = columns[np.arange(options.replayed) % len(events)]
    many = dataclasses.replace(many, at=many.at[0] + 0.5 * np.arange(len(many)))
    figures = {
        "features": len(FEATURES),
        "micro_batch_us_per_tx": round(sum(steps.values()), 2),
        **{f"{name}_us_per_tx": round(value, 2) for name, value in steps.items()},
        "plain_python_history_us_per_tx": round(plain, 1),
        "plain_by_memory": round(plain / steps["history"], 1),
        "replay_counters_tx_per_s": round(replayed(many, vector=False)),
        "replay_vector_tx_per_s": round(replayed(many, vector=True)),
    }
    if options.pairs:
        figures["memory_mb"] = round(megabytes(columns, 100_000, options.pairs))
    for name, value in figures.items():
        print(f"{name:34} {value:>12,}")
    print(msgspec.json.encode(figures).decode())


if __name__ == "__main__":
    main()
