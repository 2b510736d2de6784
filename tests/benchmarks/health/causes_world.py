"""A simulated world with planted days: its Pix as they would have been served, and a bundle trained before them."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from infra.local.simulator import SimulationConfig
from infra.local.simulator.run import Simulation
from shared.contract.event import EPOCH
from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.config import Config
from shared.learning.monitoring.causes.rows import CauseRows
from shared.learning.training import calibrate
from shared.learning.training.export import onnx_bytes, onnx_scores
from shared.learning.training.packing import BundleParts, pack, sealed
from shared.learning.training.train import LabelledRows, drawn_rows, fit, informative_columns, per_fraud
from shared.scoring.bundle import Manifest
from shared.scoring.thresholds import SideThresholds, Thresholds
from tests.benchmarks.health.planted import Planted, planted_day
from tests.benchmarks.long_world.world import confirmed

END = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
DAY = 86_400_000_000
_ENVIRONMENT = {
    "PIX_HMAC_KEY": "a key of a benchmark, which protects nobody",
    "GOOGLE_CLOUD_PROJECT": "none",
    "PIX_OUTCOMES": "published",
}
_BACKGROUND, _CALIBRATED_DAYS, _ALERTS = 100, 28, 0.01
_COLUMNS = ("end_to_end_id", "initiated_at", "payer_ispb", "initiation_form", "amount")


@dataclass(frozen=True, slots=True)
class CausesWorld:
    """All Pix in order of time, which of them are confirmed as fraud, and the start of the first day."""

    rows: CauseRows
    fraud: NDArray[np.bool_]
    start: dt.datetime

    def day(self, number: int) -> dt.datetime:
        """Return the start of a day."""
        return self.start + dt.timedelta(days=number)

    def of(self, first: int, last: int) -> NDArray[np.intp]:
        """Return the rows from one day to before another."""
        ends = [int((self.day(number) - EPOCH) / dt.timedelta(microseconds=1)) for number in (first, last)]
        return np.arange(*np.searchsorted(self.rows.at, ends).tolist())


def build(config: SimulationConfig, plants: Sequence[tuple[int, Planted]]) -> CausesWorld:
    """Simulate a world, plant causes by number of day, and replay it."""
    by_day = dict(plants)
    with TemporaryDirectory(prefix="causes-world-") as scratch:
        events, tables = Path(scratch) / "events.ndjson", Path(scratch) / "tables"
        with events.open("wb") as out:
            for number, lines in enumerate(Simulation(config).days()):
                plant = by_day.get(number)
                out.writelines(planted_day(lines, plant, config.seed + number) if plant else lines)
        command = [sys.executable, "-m", "jobs.replay", str(events), "--out", str(tables)]
        subprocess.run(command, env={**os.environ, **_ENVIRONMENT}, stdout=subprocess.DEVNULL, check=True)
        return read(tables, config.end - dt.timedelta(days=config.days))


def read(tables: Path, start: dt.datetime) -> CausesWorld:
    """Return the world in the files of a replay."""
    names = [FEATURE_PREFIX + name for name in FEATURE_NAMES]
    files = sorted(tables.glob("score_events-*.parquet"))
    table = pa.concat_tables(pq.read_table(file, columns=[*_COLUMNS, *names]) for file in files)
    features = np.empty((len(table), len(names)), dtype=np.float32)
    for j, name in enumerate(names):
        features[:, j] = table[name].cast(pa.float32()).to_numpy()
    at = table["initiated_at"].cast(pa.timestamp("us")).to_numpy().astype(np.int64)
    ids, publisher, form = (np.array(table[name].to_pylist(), dtype=str) for name in (*_COLUMNS[:1], *_COLUMNS[2:4]))
    amount = table["amount"].cast(pa.float64()).to_numpy()
    order = np.lexsort((ids, at))
    rows = CauseRows(ids, at, publisher, form, np.zeros(len(ids), dtype=bool), amount, features).take(order)
    fraud = pc.is_in(table["end_to_end_id"], value_set=confirmed(tables)).to_numpy(zero_copy_only=False)
    return CausesWorld(rows, fraud[order], start)


def trained(world: CausesWorld, days: int, settings: Config) -> dict[str, bytes]:
    """Return the files of a bundle by the shipped recipe, calibrated on the last four weeks of the first days."""
    candidate = settings.candidates[0]
    train, own = world.of(0, days - _CALIBRATED_DAYS), world.of(days - _CALIBRATED_DAYS, days)
    fraud, features = world.fraud[train], world.rows.features[train]
    drawn = drawn_rows(world.rows.at[train], fraud, per_fraud(candidate.params), settings.seed).rows
    columns = informative_columns(features, drawn)
    rows = LabelledRows(np.ascontiguousarray(features[np.ix_(drawn, columns)]), fraud[drawn])
    model = fit(candidate.family, candidate.params, rows, settings.seed)
    names = [FEATURE_NAMES[column] for column in columns]
    recent = np.ascontiguousarray(world.rows.features[np.ix_(own, columns)])
    onnx = onnx_bytes(model, len(names))
    raw = onnx_scores(onnx, recent)
    ones = np.ones(len(own))
    calibration = calibrate.fit_calibration(
        raw, world.fraud[own], ones, np.arange(len(own), dtype=np.int32), settings.calibrations
    )
    hold = float(np.quantile(calibrate.apply(calibration, raw), 1 - _ALERTS))
    thresholds = Thresholds(hold, 2.0)
    background = np.ascontiguousarray(features[np.ix_(drawn, columns)][:: max(1, len(drawn) // _BACKGROUND)])
    parts = BundleParts(model, onnx, names, calibration, SideThresholds(thresholds, thresholds), background)
    return sealed(pack(parts, recent, settings.seed), Manifest("v1", END.isoformat(), {}))
