"""Read and validate a large training set: python -m tests.benchmarks.training_set --rows 2000000.

Each measurement runs in its own process, to have its own peak memory. Ours reads Parquet files in the form of a
BigQuery export into a validated data set with its content hash, saves a snapshot and loads it again. For comparison,
pandas reads `--compared` rows at once, and `--exported` rows are read through an export of the local BigQuery.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from google.cloud import bigquery
from numpy.typing import NDArray

from infra.deploy.migrate import make
from shared.adapters.bigquery.query import BigQueryExports, BigQueryQueries
from shared.adapters.gcs import GcsBlobs
from shared.contract import tables as contract
from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURE_NAMES, FEATURES
from shared.learning.data import dataset, quality, snapshot
from shared.learning.data.defects import RANGES
from shared.learning.data.label_chance import CHANCE, LabelRates
from shared.learning.data.split import DAY
from shared.learning.specs.data import DatasetSpec
from shared.replay.arrow_rows import arrow_type
from tests.benchmarks.proc import peak_mb
from tests.contract.local_servers import PROJECT, local_bigquery, storage_client

GROUP = 100_000  # rows of a file, as in a BigQuery export of a large table
SPEC = DatasetSpec(
    rows_max=100_000_000,
    sampled_a_day=100_000_000,
    window_days=1095,
    missing_rise_max=0.3,
    fraud_share_max=0.2,
    left_out_max=0.01,
    label_weight_max=20.0,
    unjudged_max=100_000,
)
START = 1_700_000_000_000_000
DAYS = 180
MEGA = 1024 * 1024


class FolderArchive:
    """A bucket in a local folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self, name: str, write: Callable[[BinaryIO], None]) -> bool:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (self.folder / name).open("xb") as file:
            write(file)
        return True

    def fetch(self, name: str, file: Path) -> bool:
        file.symlink_to(self.folder / name)
        return True


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def write_files(folder: Path, rows: int) -> None:
    """Write unordered examples with feature values within their ranges, a tenth of them missing."""
    folder.mkdir()
    for start in range(0, rows, GROUP):
        rng = np.random.default_rng(start)
        table = examples(rng, start, min(GROUP, rows - start))
        pq.write_table(table, folder / f"{start:012d}.parquet", compression="snappy")


def examples(rng: np.random.Generator, start: int, n: int) -> pa.Table:
    fraud = rng.random(n) < 0.005
    at = START + rng.integers(0, DAYS * DAY // 1000, n) * 1000
    return pa.table(
        {
            "end_to_end_id": [f"E12345678{i // 2:023d}" for i in range(start, start + n)],
            "initiated_at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "amount": rng.lognormal(5, 1, n).round(2) + 0.01,
            "verdict": np.where(fraud, "FRAUD", "LEGITIMATE"),
            "sampling_rate": np.ones(n),
            "side": np.where(np.arange(start, start + n) % 2, "PAYEE", "PAYER"),
            "payer_ispb": rng.choice([f"{i:08d}" for i in range(300)], n),
            "payee_ispb": rng.choice([f"{i:08d}" for i in range(300)], n),
            "initiation_form": rng.choice(["DICT", "MANU", "QRDN", "QRES"], n),
            "fraud_type": only_frauds("MULE_ACCOUNT", fraud),
            "situation_type": only_frauds("SCAM", fraud),
            "hop": only_frauds("root", fraud),
            "payee_id": np.where(
                fraud, np.char.add("account-", (np.arange(start, start + n) // 8).astype(str)), None
            ),
            "funds_recovery_id": only_frauds("recovery", fraud),
            "decision": ["APPROVE"] * n,
            "policy_decision": pa.nulls(n, pa.string()),
            CHANCE: pa.nulls(n, pa.float64()),
            **{FEATURE_PREFIX + feature.name: column(rng, feature.unit, n) for feature in FEATURES},
        }
    )


def only_frauds(value: str, fraud: NDArray[np.bool_]) -> pa.Array:
    return pa.array(np.full(len(fraud), value), mask=~fraud)


def column(rng: np.random.Generator, unit: str, n: int) -> pa.Array:
    low, high = RANGES.get(unit, (0.0, np.inf))
    values = rng.random(n, dtype=np.float32).astype(float)
    if unit == "flag":
        values = values.round()
    elif not np.isinf(high):
        values = low + (high - low) * values
    return pa.array(values, mask=rng.random(n) < 0.1)


@contextmanager
def timed(figures: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    figures[name] = time.perf_counter() - started


def ours(folder: Path) -> dict[str, float]:
    """Measure the read, the validation as a part of it, and the snapshot."""
    figures: dict[str, float] = {"base_mb": peak_mb()}

    def measured(*arguments: Any) -> quality.QualityReport:
        with timed(figures, "validate_s"):
            return quality.inspect(*arguments)

    until = START + DAYS * DAY
    with mock.patch.object(dataset, "inspect", measured), timed(figures, "read_s"):
        data = dataset.read_parquet(files(folder), FEATURE_NAMES, until, SPEC, None, LabelRates())
    figures |= {"rows": len(data), "peak_rss_mb": peak_mb(), "matrix_mb": data.features.nbytes / MEGA}
    archive = FolderArchive(folder / "bucket")
    with timed(figures, "snapshot_save_s"):
        name = snapshot.save(archive, data)
    figures |= {"save_peak_rss_mb": peak_mb(), "snapshot_mb": (archive.folder / name).stat().st_size / MEGA}
    named = data.content_hash
    del data
    with timed(figures, "snapshot_load_s"):
        snapshot.load(archive, named, FEATURE_NAMES)
    return figures


def by_pandas(folder: Path) -> dict[str, float]:
    """Measure the straightforward version in pandas: read everything, sort, inspect, hash."""
    import pandas as pd

    figures: dict[str, float] = {"base_mb": peak_mb()}
    with timed(figures, "read_s"):
        frame = pd.concat([pd.read_parquet(file) for file in files(folder)])
        frame = frame.sort_values(["initiated_at", "end_to_end_id", "side"])
        assert not frame[["end_to_end_id", "side"]].duplicated().any()
        names = [FEATURE_PREFIX + name for name in FEATURE_NAMES]
        matrix = np.asfortranarray(frame[names].to_numpy(np.float32))
        assert not np.isinf(matrix).any()
        frame[names].describe().loc[["min", "max", "count"]]
        pd.util.hash_pandas_object(frame).to_numpy().tobytes()
    return figures | {"rows": len(frame), "peak_rss_mb": peak_mb()}


def exported(rows: int) -> dict[str, float]:
    """Measure the read from the tables of the local BigQuery: count, export and read."""
    figures: dict[str, float] = {}
    with TemporaryDirectory(prefix="bigquery-") as scratch:
        root = Path(scratch)
        with (
            local_bigquery(root, root / "objects") as local,
            storage_client(root / "objects", root / "log") as storage,
        ):
            make(local.client, "pix", contract.tables())
            bucket = storage.create_bucket("bench")
            scored(rows, root / "scored.parquet")
            bucket.blob("scored.parquet").upload_from_filename(root / "scored.parquet")
            config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND")
            table = f"{PROJECT}.pix.score_events"
            local.client.load_table_from_uri("gs://bench/scored.parquet", table, job_config=config).result()
            exports = BigQueryExports(local.client, bucket.name, GcsBlobs(bucket))
            source = dataset.TrainingSource(exports, BigQueryQueries(local.client), PROJECT, "pix", maturity_days=0)
            as_of = dt.datetime.fromtimestamp(START / 1e6, dt.UTC) + dt.timedelta(days=DAYS)
            with timed(figures, "extend_s"):
                source.extend_sample(as_of, SPEC)
            with timed(figures, "read_s"):
                data = dataset.read(source, as_of, FEATURE_NAMES, SPEC, None)
    return figures | {"rows": len(data), "peak_rss_mb": peak_mb()}


def scored(rows: int, file: Path) -> None:
    """Write rows of `score_events`: examples, with a constant in every other required column."""
    table = examples(np.random.default_rng(0), 0, rows)
    moment = pa.scalar(dt.datetime.fromtimestamp(START / 1e6, dt.UTC), pa.timestamp("us", tz="UTC"))
    fixed = {"STRING": pa.scalar("x"), "INT64": pa.scalar(1), "BOOL": pa.scalar(False), "TIMESTAMP": moment}
    columns = {}
    for field in contract.table("score_events").schema:
        if field.name in table.column_names:
            columns[field.name] = table[field.name]
        elif field.mode == "REPEATED":
            columns[field.name] = pa.array([[]] * rows, pa.list_(pa.string()))
        elif field.mode == "REQUIRED" or field.name == "history_sequence":
            columns[field.name] = pa.repeat(fixed[field.type], rows)
        else:
            columns[field.name] = pa.nulls(rows, arrow_type(field))
    columns["amount"] = pc.cast(columns["amount"], pa.decimal128(18, 2), safe=False)
    pq.write_table(pa.table(columns), file)


def apart(name: str, folder: Path) -> dict[str, float]:
    """Run one of MEASURED in its own process."""
    argv = [sys.executable, "-m", "tests.benchmarks.training_set", "--only", name, "--folder", str(folder)]
    figures: dict[str, float] = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)
    return figures


def report(
    large: dict[str, float], small: dict[str, float], pandas: dict[str, float], local: dict[str, float]
) -> None:
    """Print the figures as a table and as one line of JSON."""
    print(f"{'':<28}{'rows':>10}{'s':>8}{'rows/s':>10}{'peak MB':>9}")
    measured = {"ours": large, "ours, small": small, "pandas, small": pandas, "with the local export": local}
    for name, found in measured.items():
        speed = found["rows"] / found["read_s"]
        print(f"{name:<28}{found['rows']:>10,}{found['read_s']:>8.1f}{speed:>10,.0f}{found['peak_rss_mb']:>9,.0f}")
    figures = {
        **large,
        "rows_per_s": large["rows"] / large["read_s"],
        "local_export_rows_per_s": local["rows"] / local["read_s"],
        "times_as_fast_as_pandas": pandas["read_s"] / small["read_s"],
        "memory_of_pandas": pandas["peak_rss_mb"] / small["peak_rss_mb"],
    }
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


def main() -> None:
    """Write examples, run all measurements and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--compared", type=int, default=200_000)
    parser.add_argument("--exported", type=int, default=5_000)
    parser.add_argument("--only", choices=MEASURED, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(MEASURED[options.only](options.folder)))
        return
    with TemporaryDirectory(prefix="training-set-") as scratch:
        large, small = Path(scratch) / "large", Path(scratch) / "small"
        write_files(large, options.rows)
        write_files(small, options.compared)
        local = exported(options.exported)
        report(apart("ours", large), apart("ours", small), apart("pandas", small), local)


MEASURED = {"ours": ours, "pandas": by_pandas}

if __name__ == "__main__":
    main()
