"""Do the work of one machine by Spark too, on the demo's world, and compare: `make spark-demo`.

jobs.batch_score decides its rows with both engines, jobs.replay recomputes them with both, and jobs.retrain trains by
Spark through the gate; that version is published, not served. The last line is JSON: whether the results
are the same bytes, the rows a second of each engine after its start, the values in which the replays differ, and the
outcome of the training. Small worlds tell little of speed, as the first rows of an engine are its slowest:
`make bench-batch` and `make bench-replay` measure it.

Exit codes: 0 equal and trained, 1 not, or an engine failed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
from msgspec import Struct
from rich.console import Console

from infra.local.cloud import LocalCloud, PortNumbers
from infra.local.command import add_home, run, shown
from infra.local.demo.models import SHORT_SEARCH, Training
from infra.local.errors import LocalCloudError
from infra.local.home import Home, claimed
from infra.local.loopback import PORTS
from jobs.cli import interruption
from shared.replay.equality import compared

COMMAND = "make spark-demo"
ENGINES = ("local", "spark")
_FROM = "2000-01-01"


class NoModel(LocalCloudError):
    """No model serves in the world."""


class Scored(Struct, frozen=True):
    """The fields of interest of the result of `jobs.batch_score`."""

    rows: int
    rows_per_s: int
    decisions: dict[str, int]


class World(NamedTuple):
    """The running world of the demo, the version that serves there, and a folder for results."""

    home: Path
    cloud: LocalCloud
    version: str
    results: Path
    console: Console


class Found(NamedTuple):
    """Fields of the last line, and whether they are as they must be."""

    fields: dict[str, object]
    holds: bool


def main(arguments: list[str] | None = None) -> int:
    """Go through the steps; return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True, highlight=False)
    steps = [STEPS[name] for name in options.only]
    return run(COMMAND, lambda: _demo(options.home, steps, console), console)


def _demo(folder: Path, steps: Sequence[Step], console: Console) -> int:
    with claimed(folder, COMMAND) as home:
        if not home.is_world:
            raise NoModel(f"no world in {shown(home.path)}: run `make demo` first")
        return _in_world(home, steps, console)


def _in_world(home: Home, steps: Sequence[Step], console: Console) -> int:
    marker, ports = home.open(), PortNumbers(**dict.fromkeys(PORTS, 0)).claimed()
    with (
        LocalCloud(home.path, ports, "embedded", persistent=True, maturity_days=marker.maturity_days) as cloud,
        TemporaryDirectory(prefix="spark-demo-") as results,
    ):
        version = cloud.champion()
        if version is None:
            raise NoModel(f"no model serves in {shown(home.path)}: run `make demo` first")
        world = World(home.path, cloud, version, Path(results), console)
        found = [step(world) for step in steps]
    told = {name: value for each in found for name, value in each.fields.items()}
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    return 0 if all(each.holds for each in found) else 1


def score(world: World) -> Found:
    """Decide all rows with both engines. Raises JobFailed."""
    found = {each: _scored(world, each) for each in ENGINES}
    equal = same_bytes(*(world.results / each for each in ENGINES))
    _keep(world.results / "local" / "report.html", world.home / "backtest.html", world.console)
    return Found({"bytes_equal": equal, **{f"{each}_rows_per_s": found[each].rows_per_s for each in ENGINES}}, equal)


def _scored(world: World, engine: str) -> Scored:
    """Run the job with an engine. Raises JobFailed."""
    arguments = (world.version, "--from", _FROM, "--engine", engine, "--out", str(world.results / engine))
    found = msgspec.json.decode(world.cloud.run_job("batch_score", *arguments), type=Scored)
    world.console.print(f"{engine}: {found.rows:,} rows, {found.decisions}, {found.rows_per_s:,} rows/s")
    return found


def _keep(report: Path, kept: Path, console: Console) -> None:
    """Copy the report, where the world has labelled rows, beside the model card."""
    if report.exists():
        shutil.copy(report, kept)
        console.print(f"the costs on the labelled rows are in {shown(kept)}")


def same_bytes(one: Path, other: Path) -> bool:
    """Return whether two folders have the same files, of the same bytes, and at least one."""
    first, second = (
        {each.relative_to(folder): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
        for folder in (one, other)
    )
    return bool(first) and first == second


def replay(world: World) -> Found:
    """Recompute all rows in one process and by Spark. Raises JobFailed."""
    one, other = (world.results / f"replay-{each}" for each in ENGINES)
    world.cloud.run_job("replay", "tables", "--out", str(one))
    told = msgspec.json.decode(world.cloud.run_job("replay", "tables", "--out", str(other), "--engine", "spark"))
    values, differing = compared(one, other)
    rounds = f"{told['slices']:,} slices, {told['rounds_max']} rounds at most"
    world.console.print(f"replay: {values:,} values, {differing:,} differ; {rounds}")
    return Found({"replay_mismatches": differing}, differing == 0)


def train(world: World) -> Found:
    """Train by Spark on the labels known now, and let the gate judge it. Raises JobFailed."""
    arguments = ("--engine", "spark", "--promote", "never", *SHORT_SEARCH)
    found = msgspec.json.decode(world.cloud.run_job("retrain", *arguments), type=Training)
    world.console.print(f"training: {found.outcome}, {found.version}; {'; '.join(found.reasons)}", markup=False)
    return Found({"trained": found.outcome}, found.version is not None)


Step = Callable[[World], Found]
STEPS: dict[str, Step] = {"score": score, "replay": replay, "train": train}
"""The work that Spark does beside one machine, in order."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.spark_demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_home(parser)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=STEPS,
        default=list(STEPS),
        metavar="STEP",
        help="score, replay, train (default: all)",
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
