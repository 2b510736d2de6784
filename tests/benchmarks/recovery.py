"""Measure how long a lost store of history takes to come back from a snapshot in the bucket.

    python -m tests.benchmarks.recovery --records 10000000

Writes a snapshot of synthetic records (accounts, contacts, devices and persons in the proportions that
infra/capacity/measured.json has for 180 days) to the local Cloud Storage, reads it back as `jobs.repair` does, and
fills an empty Valkey or Redis with it. `seconds` is the time from the first byte read to the store that counts again,
without the rows after the snapshot; `processor_seconds` is that of this process, of the storage server, and of the
store, which share this machine. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from msgspec import Struct
from redis import Redis

from infra.local.processes import Supervisor
from infra.local.storage.launch import StorageServer, storage_server
from infra.local.valkey.launch import ValkeyServer, valkey_server
from shared.adapters.gcs import GcsBlobs
from shared.adapters.valkey.store import ValkeyStore
from shared.features.keys import Keys
from shared.features.layout import ACCOUNT, CONTACT, LAYOUTS, Layout
from shared.features.state import Records, State
from shared.replay.mark import Tally
from shared.replay.snapshots import SnapshotRetention, Snapshots
from tests.benchmarks.proc import processor_seconds

MEASURED = Path(__file__).resolve().parents[2] / "infra" / "capacity" / "measured.json"
DAYS = "180"
BUCKET = "pix-data"
NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
_PERSONS_SINCE = 1_700_000_000.0


class Recovery(Struct):
    """The time of a recovery, and the processor time of each part."""

    records: int
    seconds: float
    read_seconds: float
    records_per_second: int
    snapshot_bytes: int
    write_seconds: float
    store_bytes: int
    processor_seconds: dict[str, float]


def recovery(records: int, folder: Path) -> Recovery:
    """Return the time in which a store of so many records comes back, with files in `folder`."""
    (folder / "objects" / BUCKET).mkdir(parents=True)
    with Supervisor() as supervisor:
        storage, valkey = storage_server(folder, folder / "objects"), valkey_server(folder)
        supervisor.start(storage.child)
        supervisor.start(valkey.child)
        return _measured(records, folder, storage, valkey)


def recovery_seconds(records: int) -> float:
    """Return the seconds in which a store of so many records comes back."""
    with tempfile.TemporaryDirectory(prefix="recovery-") as folder:
        return recovery(records, Path(folder)).seconds


def synthetic(records: int) -> State:
    """Return a state of so many records in the proportions of production."""
    keys = msgspec.json.decode(MEASURED.read_bytes())["measured"]["keys_per_daily_pix"]["values"][DAYS]
    shares = [keys.get(f"{layout.kind}s", keys["persons"]) for layout in LAYOUTS]  # a fraud marker's holder: a person
    chance = np.random.default_rng(7)
    counts = [round(records * share / sum(shares)) for share in shares]
    counts[-1] += records - sum(counts)
    tables = [_records(layout, count, chance) for layout, count in zip(LAYOUTS, counts, strict=True)]
    contacts = len(tables[LAYOUTS.index(CONTACT)].keys)
    payers = chance.choice(tables[LAYOUTS.index(ACCOUNT)].keys, contacts)
    return State(tuple(tables), 1, payers)


def _records(layout: Layout, count: int, chance: np.random.Generator) -> Records:
    keys: Keys = chance.integers(1, 1 << 63, count, dtype=np.uint64) | np.uint64(1)
    values = chance.random((count, layout.width), dtype=np.float32).astype(np.float64) * 100
    values[:, : layout.mark_count] = np.floor(_PERSONS_SINCE + values[:, : layout.mark_count] * 86_400)
    return Records(keys, values)


def _measured(records: int, folder: Path, storage: StorageServer, valkey: ValkeyServer) -> Recovery:
    client = Client("bench", AnonymousCredentials(), client_options={"api_endpoint": storage.url})
    blobs = GcsBlobs(client.bucket(BUCKET))
    snapshots = Snapshots(blobs, blobs)
    began = time.perf_counter()
    snapshots.publish(
        snapshots.save(synthetic(records), Tally(records, 0), NOW, lambda _: None),
        snapshots.listing(),
        SnapshotRetention(),
    )
    written = time.perf_counter()
    servers = {"storage": storage.child.pid, "store": valkey.child.pid}
    before = {name: processor_seconds(pid) for name, pid in servers.items()} | {"job": time.process_time()}
    with closing(ValkeyStore.connect(valkey.url, 86_400)) as store, closing(Redis.from_url(valkey.url)) as redis:
        started = time.perf_counter()
        state = snapshots.load(snapshots.listing().snapshots[0])
        read = time.perf_counter()
        store.load(state, {}, lambda _: None)
        ended = time.perf_counter()
        used = redis.info("memory")["used_memory"]
    after = {name: processor_seconds(pid) for name, pid in servers.items()} | {"job": time.process_time()}
    size = sum(file.stat().st_size for file in (folder / "objects" / BUCKET).rglob("*") if file.is_file())
    return Recovery(
        records=records,
        seconds=round(ended - started, 1),
        read_seconds=round(read - started, 1),
        records_per_second=round(records / (ended - started)),
        snapshot_bytes=size,
        write_seconds=round(written - began, 1),
        store_bytes=used,
        processor_seconds={name: round(after[name] - before[name], 1) for name in after},
    )


def main() -> int:
    """Print the result; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.recovery",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--records", type=int, default=10_000_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="for the snapshot (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recovery-", dir=options.folder) as folder:
        print(msgspec.json.encode(recovery(options.records, Path(folder))).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
