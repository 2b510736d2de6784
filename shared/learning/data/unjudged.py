"""Decisions of the test period that no label judges: Pix that a predecessor stopped, and chance did not let through.

The gate reads them beside the training set, as two contenders that differ on them differ in unknown costs.
They are stored beside its snapshot, for the days of the test period.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shared.contract.event import EPOCH
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.tables import query, timestamp
from shared.learning.data.dataset import TrainingSource
from shared.learning.data.key_columns import decided_as
from shared.learning.data.label_chance import CHANCE, COLUMNS, LabelRates, unrepresented
from shared.learning.data.matrix import ParquetColumns, read_matrix
from shared.learning.data.snapshot import FOLDER
from shared.learning.data.training_sample import Among, narrowed, sample_hash
from shared.learning.ports import Archive
from shared.learning.specs.data import DatasetSpec

_PIX, _FOUND, _WEIGHT = "pix", "found", "weight"
_FACTS = ("initiated_at", "amount", "score")


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Decisions without a label, in any order, without ids.

    `features` is float32 [m, F], its columns named by `names`; `initiated_at` int64 [m] in microseconds; `amount` [m]
    in BRL; `score` [m] as served, NaN where rules decided alone; `weight` [m] the number of decisions that a row
    stands for, without the part for which the control group stands.
    """

    names: tuple[str, ...]
    features: NDArray[np.float32]
    initiated_at: NDArray[np.int64]
    amount: NDArray[np.float64]
    score: NDArray[np.float64]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.amount)

    def at(self, rows: NDArray[np.bool_]) -> Unjudged:
        """Return some of the rows."""
        at, facts = self.initiated_at[rows], (self.amount[rows], self.score[rows], self.weight[rows])
        return Unjudged(self.names, self.features[rows], at, *facts)


def read(
    source: TrainingSource, as_of: dt.datetime, since: int, names: Sequence[str], spec: DatasetSpec, rates: LabelRates
) -> Unjudged:
    """Return the decisions from `since` on, in microseconds, that are matured and without a label at `as_of`.

    Raises Unavailable, Misconfigured.
    """
    with TemporaryDirectory(prefix="unjudged-") as folder:
        files = source.exports.export(unjudged_sql(source, as_of, since, names, spec.unjudged_max), Path(folder))
        return _weighted(files, names, rates, spec.label_weight_max)


def unjudged_sql(source: TrainingSource, as_of: dt.datetime, since: int, names: Sequence[str], rows_max: int) -> str:
    """Return the query of at most `rows_max` of the decisions, chosen by id, and the number `found` of them all."""
    project, dataset = source.project, source.dataset
    begin = timestamp(EPOCH + dt.timedelta(microseconds=since))
    until = f"TIMESTAMP_SUB({timestamp(as_of)}, INTERVAL {round(24 * source.maturity_days)} HOUR)"
    rows = query("parts/unjudged", project, dataset, source.maturity_days, timestamp(as_of))
    among = Among(
        f"initiated_at >= {begin} AND initiated_at <= {until}", f"`at` >= TIMESTAMP_SUB({begin}, INTERVAL 1 DAY)"
    )
    columns = ", ".join((*_FACTS, "side", *COLUMNS, *(FEATURE_PREFIX + name for name in names)))
    return (
        f"SELECT {columns}, FARM_FINGERPRINT(end_to_end_id) AS {_PIX}, COUNT(*) OVER () AS {_FOUND} "  # noqa: S608 (SQL of the contract)
        f"FROM ({narrowed(rows, project, dataset, among)}) AS unjudged ORDER BY {sample_hash()} LIMIT {rows_max}"
    )


def save(archive: Archive, rows: Unjudged, content_hash: str, since: int) -> None:
    """Write the rows beside the snapshot with this hash, unless they are there. Raises Unavailable, Misconfigured."""
    columns = {
        "initiated_at": pa.array(rows.initiated_at).cast(pa.timestamp("us", tz="UTC")),
        "amount": rows.amount,
        "score": rows.score,
        _WEIGHT: rows.weight,
        **{FEATURE_PREFIX + name: rows.features[:, j] for j, name in enumerate(rows.names)},
    }

    def write(file: BinaryIO) -> None:
        pq.write_table(pa.table(columns), file, compression="zstd")

    archive.create(_name(content_hash, since), write)


def load(archive: Archive, content_hash: str, since: int, names: Sequence[str]) -> Unjudged | None:
    """Return the rows stored beside a snapshot, None if there are none for a period from `since`. Raises Unavailable.

    A feature that they lack is missing in every row.
    """
    with TemporaryDirectory(prefix="unjudged-") as folder:
        file = Path(folder) / "unjudged.parquet"
        if not archive.fetch(_name(content_hash, since), file):
            return None
        with ParquetColumns([file]) as source:
            weight, present = source.numbers(_WEIGHT, pa.float64()), set(source.schemas[0].names)
        known = [name for name in names if FEATURE_PREFIX + name in present]
        found = _rows([file], known, weight)
    features = np.full((len(found), len(names)), np.nan, dtype=np.float32, order="F")
    for j, name in enumerate(known):
        features[:, names.index(name)] = found.features[:, j]
    facts = (found.initiated_at, found.amount, found.score, found.weight)
    return Unjudged(tuple(names), features, *facts)


def _name(content_hash: str, since: int) -> str:
    return f"{FOLDER}/{content_hash}.unjudged-{since}.parquet"


def _weighted(files: Sequence[Path], names: Sequence[str], rates: LabelRates, weight_max: float) -> Unjudged:
    """Return the rows of an export with their weights, without those that cannot be used or stand for nothing."""
    with ParquetColumns(files) as source:
        pix = np.unique(source.numbers(_PIX, pa.int64()), return_inverse=True)[1].astype(np.int32)
        found, chance = (source.numbers(name, pa.float64()) for name in (_FOUND, CHANCE))
        decided = decided_as(source, chance)
    rows = _rows(files, names, found / max(len(found), 1) * unrepresented(decided, pix, rates, weight_max))
    usable = (rows.weight > 0) & (rows.amount > 0) & np.isfinite(rows.amount) & ~np.isinf(rows.features).any(axis=1)
    return rows.at(usable)


def _rows(files: Sequence[Path], names: Sequence[str], weight: NDArray[np.float64]) -> Unjudged:
    """Return the rows of files, which stand for `weight` [m] decisions."""
    with ParquetColumns(files) as source:
        at = source.numbers("initiated_at", pa.timestamp("us")).astype(np.int64)
        amount, score = (source.numbers(name, pa.float64()) for name in _FACTS[1:])
    features = read_matrix(files, [FEATURE_PREFIX + name for name in names], np.arange(len(weight))).values
    return Unjudged(tuple(names), features, at, amount, score, weight)
