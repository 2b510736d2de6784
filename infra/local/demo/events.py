"""The events of the demo's world."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

from rich.console import Console

from infra.local.simulator import SimulationConfig, simulate
from infra.local.simulator.config import BOTH_SIDES
from jobs.cli.console import bar

HISTORY = 200_000  # simulated transactions before the live part
DAYS = 180  # labels of the first half can mature
LIVE = 20_000
SEED = 7
FRAUD_RATE = 0.01  # the true rate is 6 to 8 per 100,000; a small world needs more to learn from


def simulated(transactions: int, seed: int, folder: Path, console: Console) -> Path:
    """Write a simulated file of events up to the last full hour into a folder, and return its path.

    More transactions than those of the demo make a longer world.
    """
    config = SimulationConfig(
        transactions=transactions,
        days=max(DAYS, math.ceil(DAYS * transactions / (HISTORY + LIVE))),
        end=dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0),
        seed=seed,
        fraud_rate=FRAUD_RATE,
        both_sides=BOTH_SIDES,
    )
    path = folder / "events.ndjson"
    with bar(console) as progress, path.open("wb") as file:
        task = progress.add_task("simulate", total=transactions)
        for line in simulate(config):
            file.write(line)
            progress.advance(task, advance=line.startswith(b'{"topic":"pix-transactions"'))
    return path
