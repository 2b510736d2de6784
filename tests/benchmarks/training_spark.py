"""Sampling with weights, all rows on this machine, and all rows on Spark: time, and quality on a fixed later period.

The rows are drawn at random, with 32 features, of which seven tell frauds, two of them together and one by being
missing; they are written as BigQuery exports all rows. Of each number of rows it prints the average precision on rows
of a later period, with the seconds of reading and of the fit: of boosting here on a weighted sample that Spark takes,
of the same boosting on all rows where one machine would read them (`dataset.rows_max`), and of XGBoost and of Spark's
own boosting on all rows, which Spark weighs once for both. A session is started before any clock is.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score

from shared.adapters.memory.learning import MemoryExports
from shared.adapters.spark.session import session
from shared.adapters.spark.training import SparkTraining
from shared.contract.event import EPOCH
from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURES
from shared.learning.data.dataset import Dataset, read_parquet
from shared.learning.data.defects import RANGES
from shared.learning.data.label_chance import CHANCE, COLUMNS, LabelRates
from shared.learning.data.split import DAY
from shared.learning.data.training_query import FACTS, KEYS, LOT, RATE, TrainingQuery, legitimate_per_million
from shared.learning.data.training_sample import MILLION
from shared.learning.specs.search import AllRowsCandidate
from shared.learning.training.amounts import AmountWeights
from shared.learning.training.engine import AllRows
from shared.learning.training.train import LabelledRows, fit, raw_scores
from tests.unit.learning.synthetic import CONFIG

NAMES = tuple(feature.name for feature in FEATURES if feature.unit not in RANGES)[:32]
_CHUNK = 100_000
_MISSING = 0.1
_FRAUD_FROM = 10.5
"""Risk above which a row is a fraud: four of a thousand are."""
_LATER = 200_000
"""Rows of the later period."""
_START, _PERIOD = 1_790_000_000_000_000, 60 * DAY
_UNTIL = _START + 2 * _PERIOD
_BOOSTING = {"max_iter": 100, "learning_rate": 0.1, "max_leaf_nodes": 8}
_XGBOOST = {
    "n_estimators": 100,
    "learning_rate": 0.1,
    "max_depth": 0,
    "max_leaves": 8,
    "grow_policy": "lossguide",
}
_SPARK = {"maxIter": 50, "maxDepth": 3, "stepSize": 0.2, "maxBins": 64}
_CANDIDATES = (
    AllRowsCandidate("xgboost", "xgboost", _XGBOOST),
    AllRowsCandidate("spark-boosting", "gradient_boosted_trees", _SPARK),
)


def examples(rows: int, seed: int, later: int) -> pa.Table:
    """Return rows of a period, which begins some microseconds later than others."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, len(NAMES))).astype(np.float32)
    risk = features[:, :4].sum(axis=1) + 2 * features[:, 4] * features[:, 5]
    features[rng.random(features.shape) < _MISSING] = np.nan
    risk += 2 * np.isnan(features[:, 6]) + rng.gumbel(size=rows)
    fraud = risk > _FRAUD_FROM
    text, nothing = pa.nulls(rows, pa.string()), pa.nulls(rows, pa.float64())
    columns: dict[str, Any] = dict.fromkeys((*KEYS, *COLUMNS, *FACTS), text) | {CHANCE: nothing}
    columns |= {
        "end_to_end_id": [f"E{seed:011d}{number:020d}" for number in range(rows)],
        "initiated_at": pa.array(_START + later + rng.integers(0, _PERIOD, rows), pa.timestamp("us", tz="UTC")),
        "amount": rng.lognormal(5, 1, rows) + 0.01,
        "verdict": np.where(fraud, "FRAUD", "LEGITIMATE"),
        "side": ["PAYER"] * rows,
        RATE: np.ones(rows),
        LOT: rng.integers(0, MILLION, rows),
    }
    values = {FEATURE_PREFIX + name: pa.array(features[:, j], from_pandas=True) for j, name in enumerate(NAMES)}
    return pa.table(columns | values)


def write(folder: Path, rows: int, first: int = 0, later: int = 0) -> list[Path]:
    """Write rows as chunks, each of its own seed."""
    files = []
    for start in range(0, rows, _CHUNK):
        seed = first + start // _CHUNK
        files.append(folder / f"{seed}.parquet")
        pq.write_table(examples(min(_CHUNK, rows - start), seed, later), files[-1])
    return files


def read(files: Sequence[Path]) -> Dataset:
    """Return rows as one machine reads them."""
    return read_parquet(files, NAMES, _UNTIL, CONFIG.dataset, None, LabelRates())


def measured(
    engine: SparkTraining,
    all_rows: Sequence[Path],
    later: Dataset,
    sample: int,
    candidates: Sequence[AllRowsCandidate],
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each way to learn from some rows."""
    labels = sum(pq.read_metadata(file).num_rows for file in all_rows)
    kept = sum(_frauds(file) for file in all_rows)
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        query = TrainingQuery("p", "pix", 0, EPOCH + dt.timedelta(microseconds=_UNTIL))
        rate = legitimate_per_million(labels, kept, sample)
        taken = engine.sample(MemoryExports(pa.table({})), query, NAMES, rate, Path(folder))
        data = read(taken.files)
        read_seconds = time.perf_counter() - start
    yield boosted("weighted sample", data, later, read_seconds)
    del data
    if labels <= CONFIG.dataset.rows_max:
        yield on_one_machine(all_rows, later)
    rows = AllRows(NAMES, _START, _START + _PERIOD, LabelRates(), 20.0, AmountWeights(power=0, mean=1))
    start = time.perf_counter()
    engine.weigh(rows)
    read_seconds = time.perf_counter() - start
    for candidate in candidates:
        start = time.perf_counter()
        model, columns = engine.grow(candidate, rows, 0)
        seconds = time.perf_counter() - start
        scores = raw_scores(model, later.features[:, columns])
        yield figures(f"all rows, {candidate.name}", labels, scores, later, read_seconds, seconds)


def on_one_machine(all_rows: Sequence[Path], later: Dataset) -> dict[str, Any]:
    """Return the figures of boosting here on all rows."""
    start = time.perf_counter()
    data = read(all_rows)
    return boosted("all rows, one machine", data, later, time.perf_counter() - start)


def _frauds(file: Path) -> int:
    verdicts = pq.read_table(file, columns=["verdict"])["verdict"]
    return int(pc.sum(pc.equal(verdicts, "FRAUD")).as_py())


def boosted(way: str, data: Dataset, later: Dataset, read_seconds: float) -> dict[str, Any]:
    """Return the figures of boosting here, with the weights of the rows."""
    start = time.perf_counter()
    model = fit("hist_gradient_boosting", _BOOSTING, LabelledRows(data.features, data.fraud, data.weight), 0)
    seconds = time.perf_counter() - start
    return figures(way, len(data), raw_scores(model, later.features), later, read_seconds, seconds)


def figures(way: str, rows: int, scores: Any, later: Dataset, read_s: float, fit_s: float) -> dict[str, Any]:
    """Return the figures of a way."""
    precision = float(average_precision_score(later.fraud, scores))
    return {"way": way, "rows": rows, "ap": round(precision, 4), "read_s": round(read_s, 1), "fit_s": round(fit_s, 1)}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a line of JSON for each way."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.training_spark", description=__doc__)
    parser.add_argument("--rows", type=int, action="append", metavar="N", help="default: 500,000 and 2,000,000")
    parser.add_argument("--sample", type=int, default=100_000, metavar="N", help="default: %(default)s")
    names = [candidate.name for candidate in _CANDIDATES]
    parser.add_argument("--candidates", nargs="*", choices=names, default=names, help="default: all, in this order")
    options = parser.parse_args(argv)
    candidates = [candidate for candidate in _CANDIDATES if candidate.name in options.candidates]
    with TemporaryDirectory(prefix="bench-training-") as name, session(None) as spark:
        folder = Path(name)
        (folder / "later").mkdir()
        later = read(write(folder / "later", _LATER, first=1_000_000, later=_PERIOD))
        for rows in options.rows or [500_000, 2_000_000]:
            own = folder / str(rows)
            own.mkdir()
            files = write(own, rows)
            engine = SparkTraining(spark, lambda *_, files=files: [str(file) for file in files], f"{own}/work")
            for found in measured(engine, files, later, options.sample, candidates):
                print(json.dumps({"of": rows, **found, "load": round(os.getloadavg()[0], 1)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
