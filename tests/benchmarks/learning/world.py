"""A simulated world in which every fraud is reported, with the lots of its reviewers and customers.

Its labels are the truth of the benchmark: a fraud that nobody would ever report is legitimate to all, reviewers
included. Its features are those of the world in which everything settles, and all arms share them: a replay for each
arm and generation would take minutes each. So what a stop changes in history (reports that never come, counters of
what settled) is left out, on all arms alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from infra.local.aftermath.reviewers import complains, refuses
from infra.local.simulator import SimulationConfig
from shared.learning.data.key_columns import Categories, time_order
from shared.learning.data.training_query import FACTS, LATER, ROOT
from tests.benchmarks.long_world.world import World, confirmed, read, replayed

_OF_SCORES = ("payer_ispb", "payee_ispb", "initiation_form")
_OF_REPORTS = ("situation_type", "fraud_type", "hop", "funds_recovery_id")


@dataclass(frozen=True, slots=True)
class LearningWorld:
    """A world [n] in order of time, the columns FACTS of its Pix, their ids, and the lots of each if it is stopped.

    `refused` is true where a reviewer would refuse the Pix as fraud, `complains` where its customer would complain.
    """

    stream: World
    ids: list[str]
    facts: Mapping[str, Categories]
    refused: NDArray[np.bool_]
    complains: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


def build(config: SimulationConfig, folder: Path | None) -> LearningWorld:
    """Return the world of a simulation; where `folder` is given, it is kept there for another run."""
    size = f"{config.transactions}-{config.days}-{config.fraud_rate:g}"
    kept = folder / f"{size}-{config.seed}.npz" if folder else None
    if kept and kept.exists():
        return load(kept)
    with TemporaryDirectory(prefix="learning-world-") as scratch:
        world = world_of(replayed(config, Path(scratch)))
    if kept:
        save(world, kept)
    return world


def save(world: LearningWorld, file: Path) -> None:
    """Write a world to a file of NumPy arrays."""
    stream = world.stream
    arrays: dict[str, Any] = {f"values {name}": np.array(fact.values) for name, fact in world.facts.items()}
    arrays |= {f"codes {name}": fact.codes for name, fact in world.facts.items()}
    arrays |= {"features": stream.features, "initiated_at": stream.initiated_at, "amount": stream.amount}
    arrays |= {"fraud": stream.fraud, "ids": np.array(world.ids, dtype="S32")}
    np.savez(file, refused=world.refused, complains=world.complains, **arrays)


def load(file: Path) -> LearningWorld:
    """Return the world in a file."""
    with np.load(file) as arrays:
        stream = World(*(arrays[name] for name in ("features", "initiated_at", "amount", "fraud")))
        facts = {
            name: Categories(tuple(arrays[f"values {name}"].tolist()), arrays[f"codes {name}"]) for name in FACTS
        }
        ids = [id_.decode() for id_ in arrays["ids"].tolist()]
        return LearningWorld(stream, ids, facts, arrays["refused"], arrays["complains"])


def world_of(tables: Path) -> LearningWorld:
    """Return the world in the files of a replay."""
    stream = read(tables)
    scored = pa.concat_tables(
        pq.read_table(file, columns=["end_to_end_id", "initiated_at", "payee_id", *_OF_SCORES])
        for file in sorted(tables.glob("score_events-*.parquet"))
    )
    at = scored["initiated_at"].cast(pa.timestamp("us")).to_numpy().astype(np.int64)
    scored = scored.take(pa.array(time_order(at, scored["end_to_end_id"])))
    ids = scored["end_to_end_id"].to_pylist()
    reports = _reports(tables)
    columns = {name: scored[name].to_pylist() for name in _OF_SCORES}
    columns |= {name: [reports.get(id_, {}).get(name) for id_ in ids] for name in _OF_REPORTS}
    columns["payee_id"] = [
        payee if fraud else None
        for payee, fraud in zip(scored["payee_id"].to_pylist(), stream.fraud.tolist(), strict=True)
    ]
    columns["side"] = ["PAYER"] * len(ids)
    situations = [
        (situation or "UNKNOWN") if fraud else None
        for situation, fraud in zip(columns["situation_type"], stream.fraud.tolist(), strict=True)
    ]
    lots = [(refuses(*pix), complains(*pix)) for pix in zip(ids, situations, strict=True)]
    refused, complaint = (np.array(column, dtype=bool) for column in zip(*lots, strict=True))
    facts = {name: categories(columns[name]) for name in FACTS}
    return LearningWorld(stream, ids, facts, refused, complaint)


def categories(values: list[str | None]) -> Categories:
    """Return a column of strings, None as ""."""
    names, codes = np.unique(np.array([value or "" for value in values]), return_inverse=True)
    return Categories(tuple(names.tolist()), codes.astype(np.int32))


def _reports(tables: Path) -> dict[str, dict[str, str]]:
    """Return the facts of the last report under the MED on each Pix that is confirmed as fraud."""
    frauds = set(confirmed(tables).to_pylist())
    columns = ["end_to_end_id", "source", "reported_at", *_OF_REPORTS]
    rows = [
        row
        for file in sorted(tables.glob("feedback-*.parquet"))
        for row in pq.read_table(file, columns=columns).to_pylist()
        if row["source"] == "MED" and row["end_to_end_id"] in frauds
    ]
    found = {}
    for row in sorted(rows, key=lambda row: row["reported_at"]):
        hop = LATER if (row["hop"] or 1) > 1 else ROOT
        found[row["end_to_end_id"]] = {name: row[name] for name in _OF_REPORTS} | {"hop": hop}
    return found
