"""A small day to multiply: Pix of a simulated world, scored by a champion trained on it, their outcomes and reports.

The world's last Pix are moved to one day, each with its outcomes and reports, so that the delays of these stay.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from infra.local.simulator import SimulationConfig
from shared.contract.event import micros
from shared.learning import config
from shared.learning.data.split import DAY
from shared.learning.monitoring.causes.rows import CauseRows
from shared.scoring.bundle import Bundle
from tests.benchmarks.health.causes import CONFIG
from tests.benchmarks.health.causes_world import read, trained
from tests.benchmarks.long_world.world import replayed

MEASURED = dt.datetime(2026, 8, 1, tzinfo=dt.UTC)
"""End of the world, and the day that is measured."""
WORLD_DAYS, TRAINED_DAYS, WORLD_PIX_MIN = 60, 46, 6_000
FRAUD_RATE = 0.006
"""Share of frauds in the world: enough to train on."""
HELD, REJECTED, DRAWN = 0.99, 0.998, 0.2
"""Quantiles of the score from which a Pix is held or rejected, and the share of rejects that are held as controls."""
CODES = ("NEW_PAYEE", "AMOUNT", "NIGHT")
DECIDE_US = (20_000, 90_000)
"""Microseconds to decide: the least, and the end."""
ID_KEPT, ID_PIX, ID_COPY = 21, 5, 6
"""Characters of an id: those of before, then the number of the Pix in the seed, then that of its copy."""
_TIMES = ("initiated_at", "scored_at", "published_at", "at", "reported_at", "received_at")


class Seed(NamedTuple):
    """The version and the files of a champion, and rows of a day by table of `pix`."""

    version: str
    bundle: dict[str, bytes]
    tables: Mapping[str, pa.Table]


def seed_day(pix: int, folder: Path, seed: int = 7) -> Seed:
    """Return a day of at most `pix` Pix; `folder` holds the files of their world."""
    number = max(pix, WORLD_PIX_MIN)
    simulated = SimulationConfig(MEASURED, number, WORLD_DAYS, seed=seed, fraud_rate=FRAUD_RATE)
    files = replayed(simulated, folder)
    world = read(files, MEASURED - dt.timedelta(days=WORLD_DAYS))
    own = world.rows.take(np.arange(len(world.rows))[-pix:])
    bundle = trained(world, TRAINED_DAYS, config.load(CONFIG))
    champion = Bundle(bundle)
    tables = {name: _of_day(files, name, own) for name in ("score_events", "outcomes", "feedback")}
    scores = champion.score(own.features)
    tables["score_events"] = decided(tables["score_events"], scores, champion.version, np.random.default_rng(seed))
    return Seed(champion.version, bundle, tables)


def decided(rows: pa.Table, scores: NDArray[np.float64], version: str, chance: np.random.Generator) -> pa.Table:
    """Return rows of `score_events` [n], each of another Pix, as a champion with these scores decides them."""
    hold, reject = np.quantile(scores, (HELD, REJECTED))
    policy = np.select([scores >= reject, scores >= hold], ["REJECT", "HOLD"], "APPROVE")
    is_drawn = (policy == "REJECT") & (chance.random(len(scores)) < DRAWN)
    at = rows["initiated_at"].cast(pa.int64())
    taken = pa.array(chance.integers(*DECIDE_US, len(scores)))
    reasons = [list(CODES[: 1 + i % len(CODES)]) if one != "APPROVE" else [] for i, one in enumerate(policy)]
    columns = {
        "score": pa.array(scores),
        "model_version": pa.repeat(version, len(scores)),
        "decision": pa.array(np.where(is_drawn, "HOLD", policy).tolist()),
        "policy_decision": pa.array(np.where(is_drawn, policy, None).tolist(), pa.string()),
        "reasons": pa.array(reasons, pa.list_(pa.string())),
        "published_at": at,
        "scored_at": pc.add(at, taken),
        "claim_number": pa.repeat(1, len(scores)),
        "degraded": pa.repeat(False, len(scores)),
    }
    for name, values in columns.items():
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), values.cast(rows.schema.field(place).type))
    return rows


def _of_day(files: Path, name: str, own: CauseRows) -> pa.Table:
    """Return the rows of a table about some Pix, moved to the day, in the order of these."""
    table = pa.concat_tables(pq.read_table(file) for file in sorted(files.glob(f"{name}-*.parquet")))
    places = pc.index_in(table["end_to_end_id"], value_set=pa.array(own.ids.tolist()))
    table, places = table.filter(pc.is_valid(places)), places.drop_null()
    order = pc.sort_indices(places)
    table, places = table.take(order), places.take(order)
    ids = [f"{id_[:ID_KEPT]}{i:0{ID_PIX}d}{0:0{ID_COPY}d}" for i, id_ in enumerate(own.ids.tolist())]
    named = table.schema.get_field_index("end_to_end_id")
    table = table.set_column(named, table.schema.field(named), pa.array(ids).take(places))
    by = pa.array(micros(MEASURED) + own.at % DAY - own.at).take(places)
    for name in _TIMES:
        if (place := table.schema.get_field_index(name)) >= 0:
            field = table.schema.field(place)
            table = table.set_column(place, field, pc.add(table[name].cast(pa.int64()), by).cast(field.type))
    return table
