"""Find mule transfers with and without MED 2.0: python -m tests.benchmarks.hops

One simulated world is replayed twice, with and without reports on the hops behind each contested Pix; the Pix are the
same. The shipped model is trained on rows and reports of the first part of the time, and judged on later Pix: does it
rank money that mules pass on (agreed reports on hop 2 and beyond) above lawful Pix? Contested Pix are left out there.
Nothing is chosen on the judged rows. Transfers that nobody reports count as lawful, in every variant.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import HistGradientBoostingClassifier

from infra.local.simulator import SimulationConfig, simulate
from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURE_NAMES
from shared.learning import config
from shared.learning.judging.bootstrap import Resampling, estimate
from shared.learning.judging.ranking import ranking_figures
from shared.learning.training.train import raw_scores

END = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
REPORTED = "2027-11-20"
"""After the last report about a Pix before END."""
CONFIG = Path(__file__).resolve().parents[2] / "jobs" / "config.yaml"
CANDIDATE = "boosting"
TREES = 200
WARM_UP, TRAINED, MATURES = 0.15, 0.65, dt.timedelta(days=10)
"""Parts of the time before the first trained row and before the judged ones, and the wait for reports in between."""
RESAMPLES, CONFIDENCE, ALERTS = 1_000, 0.95, 0.005


class World(NamedTuple):
    """A replayed world: its Pix in time order, and the agreed reports."""

    ids: NDArray[Any]
    at: NDArray[np.int64]
    """Microseconds since the epoch, [n]."""
    features: NDArray[np.float32]
    agreed: pa.Table


class Variant(NamedTuple):
    """A way of training: whether features and labels know of hops."""

    name: str
    features_of_hops: bool
    labels_of_hops: bool


VARIANTS = (
    Variant("without MED 2.0 on hops", features_of_hops=False, labels_of_hops=False),
    Variant("hops in history only", features_of_hops=True, labels_of_hops=False),
    Variant("hops as labels only", features_of_hops=False, labels_of_hops=True),
    Variant("hops in history and as labels", features_of_hops=True, labels_of_hops=True),
)


def replayed(options: argparse.Namespace, folder: Path, *, hop_reports: bool) -> World:
    """Simulate and replay a world; rows have the features that would have been served."""
    simulated = SimulationConfig(
        end=END,
        transactions=options.transactions,
        days=options.days,
        seed=options.seed,
        fraud_rate=options.fraud_rate,
        hop_reports=hop_reports,
    )
    events, rows = folder / "events.ndjson", folder / "rows"
    with events.open("wb") as file:
        file.writelines(simulate(simulated))
    key = "a benchmark's key, which protects nobody"
    environment = {"GOOGLE_CLOUD_PROJECT": "benchmark", "PIX_HMAC_KEY": key, "PIX_OUTCOMES": "published"}
    command = [sys.executable, "-m", "jobs.replay", str(events), "--until", REPORTED, "--out", str(rows)]
    subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)
    events.unlink()
    names = ["end_to_end_id", "initiated_at", *(FEATURE_PREFIX + name for name in FEATURE_NAMES)]
    table = pa.concat_tables(pq.read_table(file, columns=names) for file in sorted(rows.glob("score_events-*")))
    table = table.sort_by([("initiated_at", "ascending"), ("end_to_end_id", "ascending")])
    columns = [table[name].to_numpy().astype(np.float32) for name in names[2:]]
    at = table["initiated_at"].cast(pa.int64()).to_numpy()
    return World(np.array(table["end_to_end_id"].to_pylist()), at, np.stack(columns, axis=1), _agreed(rows))


def _agreed(rows: Path) -> pa.Table:
    """Return EndToEndId, hop and time of the infraction reports that ended agreed."""
    names = ["source", "end_to_end_id", "reported_at", "status", "analysis_result", "hop"]
    table = pa.concat_tables(pq.read_table(file, columns=names) for file in sorted(rows.glob("feedback-*")))
    closed = pc.and_(pc.equal(table["source"], "MED"), pc.equal(table["status"], "CLOSED"))
    return table.filter(pc.and_(closed, pc.equal(table["analysis_result"], "AGREED")))


def labels(world: World, known_at: int | None, *, hops: bool) -> NDArray[np.bool_]:
    """Return the Pix [n] with an agreed report, of later hops or of contested Pix, known at a moment (None: ever)."""
    table = world.agreed
    if known_at is not None:
        table = table.filter(pc.less(table["reported_at"].cast(pa.int64()), known_at))
    later = pc.greater(pc.fill_null(table["hop"], 1), 1)
    ids = table.filter(later if hops else pc.invert(later))["end_to_end_id"].to_pylist()
    return np.isin(world.ids, np.array(ids, dtype=str))


def scores(world: World, fraud: NDArray[np.bool_], train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Any:
    """Return the scores of the test rows by the shipped model, trained on the others."""
    candidates = config.load(CONFIG).candidates
    params = next(candidate.params for candidate in candidates if candidate.name == CANDIDATE)
    own = {name: value for name, value in params.items() if name in HistGradientBoostingClassifier().get_params()}
    model = HistGradientBoostingClassifier(**{**own, "max_iter": TREES, "early_stopping": False, "random_state": 0})
    rows = world.features[train]
    known = np.isfinite(rows).any(axis=0)  # a column without any value cannot be binned
    return raw_scores(model.fit(rows[:, known], fraud[train]), world.features[test][:, known])


def main() -> None:
    """Run all variants and print average precision with intervals."""
    options = _parser().parse_args()
    with TemporaryDirectory(prefix="pix-hops-") as home:
        worlds = {}
        for hop_reports in (False, True):
            folder = Path(home) / str(hop_reports)
            folder.mkdir()
            worlds[hop_reports] = replayed(options, folder, hop_reports=hop_reports)
    _report(worlds[False], worlds[True])


def _report(without: World, told: World) -> None:
    if without.ids.tolist() != told.ids.tolist():
        raise AssertionError("the worlds differ")
    start, span = int(told.at[0]), int(np.ptp(told.at))
    judged_from = start + int(TRAINED * span)
    matured = judged_from - MATURES // dt.timedelta(microseconds=1)
    train = (told.at >= start + int(WARM_UP * span)) & (told.at < matured)
    mule = labels(told, None, hops=True)
    test = (told.at >= judged_from) & ~labels(told, None, hops=False)
    resampling = Resampling.of(told.at[test], np.ones(int(test.sum())), RESAMPLES, seed=0)
    precision = {}
    for variant in VARIANTS:
        fraud = labels(told, judged_from, hops=False)
        if variant.labels_of_hops:
            fraud |= labels(told, judged_from, hops=True)
        world = told if variant.features_of_hops else without
        found = ranking_figures(scores(world, fraud, train, test), mule[test], ALERTS, resampling)
        precision[variant.name] = found.average_precision
    _print(precision, train, test, mule, labels(told, judged_from, hops=True))


def _print(
    precision: dict[str, NDArray[np.float64]],
    train: NDArray[np.bool_],
    test: NDArray[np.bool_],
    mule: NDArray[np.bool_],
    known: NDArray[np.bool_],
) -> None:
    title = f"Mule transfers: {int(mule[test].sum()):,} in {int(test.sum()):,} judged Pix"
    caption = f"trained on {int(train.sum()):,} Pix, {int(known[train].sum()):,} of them known as hops"
    table = Table("trained", "average precision", "95 %", "more than without", "95 %", title=title, caption=caption)
    first = next(iter(precision.values()))
    for name, samples in precision.items():
        row = [name]
        for value, (low, high) in (_interval(samples), _interval(samples - first)):
            row += [f"{value:.3f}", f"{low:.3f} to {high:.3f}"]
        table.add_row(*row)
    Console(width=110).print(table)


def _interval(samples: NDArray[np.float64]) -> tuple[float, tuple[float, float]]:
    value, interval = estimate(samples, CONFIDENCE)
    return value, (interval.low, interval.high)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transactions", type=int, default=300_000, help="Pix (default: %(default)s)")
    parser.add_argument("--days", type=int, default=120, help="days (default: %(default)s)")
    parser.add_argument("--fraud-rate", type=float, default=0.004, help="share of frauds (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=11, help="seed of the simulator (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
