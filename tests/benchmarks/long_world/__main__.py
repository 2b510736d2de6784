"""Print which training rows rank best on a world of 900 days, and the drift of its quiet days: make bench-long."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from infra.local.simulator import SimulationConfig
from shared.learning import config
from shared.learning.config import Config
from shared.learning.specs.search import CandidateSpec
from shared.learning.training.train import (
    Fitted,
    LabelledRows,
    drawn_rows,
    fit,
    informative_columns,
    per_fraud,
    raw_scores,
)
from tests.benchmarks.long_world.drift import DriftFigures, Traffic, figures
from tests.benchmarks.long_world.sampling import NO_FADING, PRODUCT, Reached, compared
from tests.benchmarks.long_world.world import END, World, build

QUIET = 60
"""Quiet days at the end of the world."""
FRAUD_RATE = 0.006


def main() -> int:
    """Print the tables, then a line of JSON; return 1 if it does not hold what is asked."""
    options = _parser().parse_args()
    settings = config.load(options.config)
    console, reached, quiet = Console(), list[Reached](), list[DriftFigures]()
    for seed in options.seeds:
        with TemporaryDirectory(prefix="long-world-") as folder:
            world = build(
                SimulationConfig(
                    END, options.transactions, options.days, seed=seed, fraud_rate=FRAUD_RATE, labels_until=END
                ),
                Path(folder),
            )
        if not options.only_drift:
            reached += compared(world, settings.candidates[0], seed)
        quiet.append(_drift(world, settings))
    means = _print_sampling(reached, console)
    _print_drift(quiet, console)
    result: dict[str, Any] = {
        "quiet_days": sum(one.days - len(one.features) for one in quiet),
        "days": sum(one.days for one in quiet),
        "score_alerts": sum(one.score for one in quiet),
        "faults_found": sum(sum(one.found.values()) for one in quiet),
        "faults": sum(len(one.found) for one in quiet),
    }
    if means:
        result |= {"average_precision": round(means[PRODUCT], 4), "without_fading": round(means[NO_FADING], 4)}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if holds(result) else 1


def holds(result: Mapping[str, Any]) -> bool:
    """Return whether drift is quiet and hears each fault, and rows as the product draws them rank no worse.

    They are compared with rows of all days alike, which do not fade; both figures are absent with `--only-drift`.
    """
    is_quiet = result["quiet_days"] >= 0.95 * result["days"]
    ranks = result.get("average_precision", 0.0) >= result.get("without_fading", 0.0)
    return bool(is_quiet and ranks and result["faults_found"] == result["faults"])


def _drift(world: World, settings: Config) -> DriftFigures:
    """Return the figures of the last days, scored by a model of the labels that were known when they began."""
    fitted = _model(world, settings.candidates[0], settings.seed)
    traffic = Traffic(world.features, world.initiated_at, functools.partial(_scores, fitted), settings.drift)
    return figures(traffic, traffic.days - QUIET)


def _model(world: World, candidate: CandidateSpec, seed: int) -> Fitted:
    data = world.matured(QUIET)
    rows = drawn_rows(data.initiated_at, data.fraud, per_fraud(candidate.params), seed).rows
    columns = informative_columns(data.features, rows)
    model = fit(candidate.family, candidate.params, LabelledRows(data.take(rows, columns), data.fraud[rows]), seed)
    return Fitted(model, columns, rows)


def _scores(fitted: Fitted, features: NDArray[np.float32]) -> NDArray[np.float64]:
    return raw_scores(fitted.model, np.ascontiguousarray(features[:, fitted.columns]))


def _print_sampling(reached: list[Reached], console: Console) -> dict[str, float]:
    """Print the mean of each choice, and return them."""
    table = Table(
        "training rows drawn", "average precision", "of each period", "rows", title="choice of training rows"
    )
    means = {}
    for choice in dict.fromkeys(one.choice for one in reached):
        own = [one for one in reached if one.choice == choice]
        means[choice] = float(np.mean([one.average_precision for one in own]))
        each = " ".join(f"{one.average_precision:.3f}" for one in own)
        table.add_row(choice, f"{means[choice]:.4f}", each, f"{np.mean([one.rows for one in own]):,.0f}")
    if reached:
        console.print(table)
    return means


def _print_drift(quiet: list[DriftFigures], console: Console) -> None:
    for one in quiet:
        console.print(
            f"{len(one.features)} of {one.days} quiet days with an alert on features, {one.score} on the score"
        )
        for alert in one.features:
            console.print(f"  {alert}")
        for fault, found in one.found.items():
            console.print(f"  planted: {fault}: {'found' if found else 'MISSED'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.long_world", description=__doc__)
    parser.add_argument("--transactions", type=int, default=350_000, help="(default: %(default)s)")
    parser.add_argument("--days", type=int, default=900, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 11], help="one world each (default: 5 11)")
    parser.add_argument("--config", type=Path, default=Path("jobs/config.yaml"), help="(default: %(default)s)")
    parser.add_argument("--only-drift", action="store_true", help="skip the comparison of training rows")
    return parser


if __name__ == "__main__":
    sys.exit(main())
