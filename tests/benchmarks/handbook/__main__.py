"""Run the published protocol on the product's history and features: `make bench-quality DATA=fdh.parquet`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

# One core, so that times are comparable; set before NumPy and scikit-learn are imported.
os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")

import msgspec
import pyarrow
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.benchmarks.handbook import counters, published
from tests.benchmarks.handbook.features import Transactions, feature_rows, read
from tests.benchmarks.handbook.models import ALL_HISTORY, WEEK_ONLY, Bench, Candidate, Outcome, Regime
from tests.benchmarks.handbook.protocol import (
    SINGLE,
    TEST_FOLDS,
    Figures,
    NotTheStream,
    require_published,
    validation_starts,
)

VALIDATION_FOLDS = 6


class Chosen(NamedTuple):
    """The result of a search on the validation folds."""

    regime: Regime
    candidate: Candidate
    """The best candidate."""
    tried: dict[str, Outcome]
    """Outcomes of all candidates, by name."""
    search: float
    """Duration of the search, in seconds."""


def main(arguments: list[str] | None = None) -> int:
    """Print our table beside the published one, then a line of JSON; return the exit status (1: unusable input)."""
    options = _parser().parse_args(arguments)
    console = Console(width=118)
    try:
        if not options.data.is_file():
            raise FileNotFoundError("no such file; give the Parquet file of the stream")
        transactions = read(options.data)
        require_published(transactions.stream)
    except (OSError, KeyError, pyarrow.ArrowException, NotTheStream) as error:
        Console(stderr=True).print(f"{options.data}: {error}", markup=False, soft_wrap=True)
        return 1
    with Progress(console=Console(stderr=True)) as progress:
        result = _run(transactions, console, progress, options.validation_only)
    if result:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    return 0


def _run(transactions: Transactions, console: Console, progress: Progress, validation_only: bool) -> dict[str, Any]:
    features, counter_rate = _replayed(transactions, console, progress)
    task = progress.add_task("models", total=_fits(validation_only))
    bench = Bench(transactions.stream, features, lambda: progress.advance(task))
    chosen = [_choose(bench, regime, console) for regime in (WEEK_ONLY, ALL_HISTORY)]
    if validation_only:
        return {}
    single = bench.run(WEEK_ONLY, chosen[0].candidate, [SINGLE])
    folds = [bench.run(each.regime, each.candidate, TEST_FOLDS) for each in chosen]
    _print_single(console, chosen[0], single)
    _print_folds(console, chosen, folds)
    return {
        "folds_7d": _rounded(folds[0].mean),
        "folds_full": _rounded(folds[1].mean),
        "single_7d": _rounded(single.mean),
        "replay_tx_per_s": round(counter_rate),
        "rows": len(transactions),
    }


def _replayed(transactions: Transactions, console: Console, progress: Progress) -> tuple[Any, float]:
    """Return the features [n, F], and the transactions a second of the counters alone on one core."""
    n = len(transactions)
    task = progress.add_task("replay: full vector", total=n)
    began = time.perf_counter()
    features, vector_seconds = feature_rows(transactions, lambda done: progress.advance(task, done))
    task = progress.add_task("replay: counters alone", total=n)
    counter_seconds = counters.processor_seconds(transactions, lambda done: progress.advance(task, done))
    rates = n / vector_seconds, n / counter_seconds
    console.print(
        f"{n:,} transactions and their verdicts, replayed in {time.perf_counter() - began:.1f} s, one core:"
    )
    console.print(f"{rates[0]:11,.0f} tx/s  full feature vector, {features.shape[1]} features of each transaction")
    console.print(f"{rates[1]:11,.0f} tx/s  {counters.COUNTED}")
    return features, rates[1]


def _fits(validation_only: bool) -> int:
    search = VALIDATION_FOLDS * (len(WEEK_ONLY.candidates) + len(ALL_HISTORY.candidates))
    return search if validation_only else search + 1 + 2 * len(TEST_FOLDS)


def _choose(bench: Bench, regime: Regime, console: Console) -> Chosen:
    began = time.perf_counter()
    best, tried = bench.choose(regime, validation_starts(VALIDATION_FOLDS))
    table = _table(f"validation folds, {regime.name}", "fitting, s")
    for name, outcome in tried.items():
        _row(table, name + (" (chosen)" if name == best.name else ""), outcome.mean, f"{outcome.fitting:.1f}")
    console.print(table)
    return Chosen(regime, best, tried, time.perf_counter() - began)


def _print_single(console: Console, chosen: Chosen, outcome: Outcome) -> None:
    table = _table("single split, test week 2018-08-08", "training, s")
    for result in published.SINGLE:
        _row(table, "published: " + result.model, result.figures, f"{result.seconds:.1f}")
    _row(table, f"ours: {chosen.regime.name}", outcome.mean, f"{outcome.fitting:.1f}")
    console.print(table)


def _print_folds(console: Console, chosen: list[Chosen], outcomes: list[Outcome]) -> None:
    table = _table("mean over the four test folds", "search + training, s")
    for result in published.FOLDS:
        _row(table, "published: " + result.model, result.figures, f"{result.seconds:.0f}" if result.seconds else "")
    for each, outcome in zip(chosen, outcomes, strict=True):
        seconds = f"{each.search:.0f} + {outcome.fitting:.0f}"
        _row(table, f"ours: {each.regime.name}", outcome.mean, seconds)
    console.print(table)


def _table(title: str, seconds: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("model", "AUC ROC", "average precision", "CP@100", seconds):
        table.add_column(name, justify="left" if name == "model" else "right")
    return table


def _row(table: Table, name: str, found: Figures, seconds: str) -> None:
    table.add_row(name, *(f"{value:.3f}" for value in found), seconds)


def _rounded(found: Figures) -> dict[str, float]:
    return {name: round(value, 4) for name, value in found._asdict().items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.handbook",
        description="Measure the product's history on the stream of the Fraud Detection Handbook by its protocol.",
        epilog="example: python -m tests.benchmarks.handbook fdh.parquet",
    )
    parser.add_argument("data", type=Path, metavar="FILE", help="the stream as Parquet, one row a transaction")
    parser.add_argument(
        "--validation-only", action="store_true", help="search on the validation folds and skip the test folds"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
