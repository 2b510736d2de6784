"""Simulate a world, replay it into features as they would have been served, and label it."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from infra.local.simulator import SimulationConfig, simulate
from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.dataset import Dataset
from shared.learning.data.key_columns import Categories, time_order
from shared.learning.data.quality import QualityReport
from shared.learning.data.split import DAY
from shared.learning.data.training_query import FACTS

END = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
MATURITY = 87
_ENVIRONMENT = {"PIX_HMAC_KEY": "a key of a benchmark, which protects nobody", "GOOGLE_CLOUD_PROJECT": "none"}
UNCHECKED = QualityReport(0, 0, 0, 0.0, 1.0, None, None, {}, [])


@dataclass(frozen=True, slots=True)
class World:
    """All Pix [n] in order of time: features float32 [n, F] as served, times in microseconds, amounts in BRL, frauds.

    The last MATURITY days have features and no labels yet.
    """

    features: NDArray[np.float32]
    initiated_at: NDArray[np.int64]
    amount: NDArray[np.float64]
    fraud: NDArray[np.bool_]

    def matured(self, days_back: int = 0) -> Dataset:
        """Return the labelled examples known `days_back` days before the end."""
        until = self.initiated_at[-1] - (MATURITY + days_back) * DAY
        rows = slice(0, int(np.searchsorted(self.initiated_at, until)))
        n = rows.stop
        ones, codes = np.ones(n), np.zeros(n, dtype=np.int32)
        return Dataset(
            FEATURE_NAMES,
            self.features[rows],
            np.arange(n, dtype=np.int32),
            self.fraud[rows],
            self.initiated_at[rows],
            self.amount[rows],
            ones,
            ones,
            {name: Categories(("PAYER" if name == "side" else "",), codes) for name in FACTS},
            UNCHECKED,
            "",
        )


def build(config: SimulationConfig, folder: Path) -> World:
    """Return the world of a simulation; `folder` holds its files."""
    return read(replayed(config, folder))


def replayed(config: SimulationConfig, folder: Path) -> Path:
    """Write the files of a replay of a simulation into `folder`, and return where they are."""
    events, tables = folder / "events.ndjson", folder / "tables"
    with events.open("wb") as lines:
        for line in simulate(config):
            lines.write(line)
    subprocess.run(
        [sys.executable, "-m", "jobs.replay", str(events), "--out", str(tables)],
        env={**os.environ, **_ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    events.unlink()
    return tables


def read(tables: Path) -> World:
    """Return the world in the files of a replay."""
    names = [FEATURE_PREFIX + name for name in FEATURE_NAMES]
    scored = [
        pq.read_table(file, columns=["end_to_end_id", "initiated_at", "amount", *names])
        for file in sorted(tables.glob("score_events-*.parquet"))
    ]
    rows = pa.concat_tables(scored)
    at = rows["initiated_at"].cast(pa.timestamp("us")).to_numpy().astype(np.int64)
    order = time_order(at, rows["end_to_end_id"])
    features = np.empty((len(order), len(names)), dtype=np.float32, order="F")
    for j, name in enumerate(names):
        features[:, j] = rows[name].cast(pa.float32()).to_numpy()[order]
    fraud = pc.is_in(rows["end_to_end_id"], value_set=confirmed(tables)).to_numpy(zero_copy_only=False)
    return World(features, at[order], rows["amount"].cast(pa.float64()).to_numpy()[order], fraud[order])


def confirmed(tables: Path) -> pa.Array:
    """Return the ids of the Pix whose fraud is confirmed at the end: agreed with, or stated by an analyst."""
    rows = pa.concat_tables([pq.read_table(file) for file in sorted(tables.glob("feedback-*.parquet"))]).to_pylist()
    latest = {
        (row["end_to_end_id"], row["source"], row["report_id"]): row
        for row in sorted(rows, key=lambda row: row["reported_at"])
    }.values()
    revoked = {
        row["infraction_report_id"]
        for row in latest
        if row["source"] == "FRAUD_MARKER" and row["status"] == "CANCELLED"
    }
    found = {
        row["end_to_end_id"]
        for row in latest
        if (
            row["source"] == "MED"
            and row["analysis_result"] == "AGREED"
            and row["status"] == "CLOSED"
            and row["report_id"] not in revoked
        )
        or (row["source"] == "ANALYST" and row["verdict"] == "FRAUD")
    }
    return pa.array(sorted(each for each in found if each), pa.string())
