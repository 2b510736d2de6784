"""The training set: features as served, with the verdict in force at a cut-off."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.contract.rows import FEATURE_PREFIX
from shared.learning.config import DatasetSpec
from shared.learning.data.matrix import FeatureMatrix, ParquetColumns, digest, read_matrix
from shared.learning.data.profile import Profile
from shared.learning.data.quality import QualityInputs, QualityReport, inspect, require_columns
from shared.learning.data.training_query import FACTS, MILLION, TrainingQuery, legitimate_per_million
from shared.learning.ports import Queries, RowExports

_KINDS = {"end_to_end_id": "text", "initiated_at": "time", "amount": "number", "verdict": "text"}


class Categories(NamedTuple):
    """A column of words: the different ones in alphabetical order, and which of them each row has, int32 [n]."""

    values: tuple[str, ...]
    codes: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Examples in order of time.

    `features` is float32 [n, F] in column order (Fortran), the columns named by `names`; `fraud` bool [n],
    `initiated_at` int64 [n] in microseconds, `amount` float64 [n] in BRL, `weight` float64 [n], how many Pix of the
    table a row stands for. `facts` are what segments are made of and no model sees: the columns FACTS, "" where there
    is nothing. `content_hash` is the SHA-256 of all of it but `quality`. There are no ids: nothing is learnt of them.
    """

    names: tuple[str, ...]
    features: NDArray[np.float32]
    fraud: NDArray[np.bool_]
    initiated_at: NDArray[np.int64]
    amount: NDArray[np.float64]
    weight: NDArray[np.float64]
    facts: Mapping[str, Categories]
    quality: QualityReport
    content_hash: str

    def __len__(self) -> int:
        return len(self.fraud)

    def take(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return a copy of some rows and columns, float32 [rows, columns], column by column."""
        taken = np.empty((len(rows), len(columns)), dtype=np.float32, order="F")
        for k, j in enumerate(columns):
            taken[:, k] = self.features[rows, j]
        return taken


@dataclass(frozen=True, slots=True)
class TrainingSource:
    """Where examples come from: dataset `dataset` of `project`, complete once `maturity_days` old."""

    exports: RowExports
    queries: Queries
    project: str
    dataset: str
    maturity_days: float


def read(
    source: TrainingSource, as_of: dt.datetime, names: Sequence[str], spec: DatasetSpec, profile: Profile | None
) -> Dataset:
    """Return what is known at `as_of` of every Pix that can be judged by then, compared with the champion's profile.

    Memory is bounded by `spec.rows_max`, whatever the table holds: so many rows of 4 bytes for each feature and about
    150 for the rest. The exported files are beside it on disk. Raises Unavailable, Misconfigured, BadDataset.
    """
    examples = TrainingQuery(source.project, source.dataset, source.maturity_days, as_of)
    [counted] = source.queries.rows(examples.count(), {})
    legitimate = legitimate_per_million(counted["labels"], counted["frauds"], spec.rows_max)
    with TemporaryDirectory(prefix="training-set-") as folder:
        files = source.exports.export(examples.rows(names, legitimate), Path(folder))
        return read_parquet(files, names, examples.until, legitimate / MILLION, spec, profile)


def read_parquet(
    files: Sequence[Path],
    names: Sequence[str],
    until: int,
    sampled: float,
    spec: DatasetSpec,
    profile: Profile | None,
) -> Dataset:
    """Return the examples in Parquet files, initiated up to `until` (microseconds). Raises BadDataset.

    `sampled` is the share of legitimate Pix that were taken.
    """
    columns = [FEATURE_PREFIX + name for name in names]
    with ParquetColumns(files) as source:
        require_columns(source.schemas, _KINDS | dict.fromkeys(FACTS, "text") | dict.fromkeys(columns, "number"))
        keys = _key_columns(source)
    matrix = read_matrix(files, columns, keys.order)
    contents = QualityInputs(
        fraud=keys.fraud,
        initiated_at=keys.initiated_at,
        amount=keys.amount,
        summaries=dict(zip(names, matrix.summaries, strict=True)),
        sampled=sampled,
        duplicates=keys.duplicates,
        unlabelled=keys.unlabelled,
        incomplete=keys.incomplete,
        until=until,
    )
    quality = inspect(contents, spec, profile)
    weight = np.where(keys.fraud, 1.0, 1.0 / sampled)
    return with_content_hash(names, matrix, keys.fraud, keys.initiated_at, keys.amount, weight, keys.facts, quality)


class _KeyColumns(NamedTuple):
    """All but the features, in order of time, the order itself, and what is wrong with them."""

    order: NDArray[np.intp]
    fraud: NDArray[np.bool_]
    initiated_at: NDArray[np.int64]
    amount: NDArray[np.float64]
    facts: dict[str, Categories]
    duplicates: int
    unlabelled: int
    incomplete: int


def _key_columns(source: ParquetColumns) -> _KeyColumns:
    ids = source.column("end_to_end_id", pa.string())
    times = source.column("initiated_at", pa.timestamp("us"))
    initiated_at = times.to_numpy().astype(np.int64)
    order = time_order(initiated_at, ids)
    verdicts, codes = source.categories("verdict")
    judged = [verdict in ("FRAUD", "LEGITIMATE") for verdict in verdicts]
    facts = {name: source.categories(name) for name in FACTS}
    return _KeyColumns(
        order,
        np.array([verdict == "FRAUD" for verdict in verdicts], dtype=bool)[codes][order],
        initiated_at[order],
        source.numbers("amount", pa.float64())[order],
        {name: Categories(values, codes[order]) for name, (values, codes) in facts.items()},
        duplicates=len(ids) - pc.count_distinct(ids, mode="all").as_py(),
        unlabelled=len(codes) - int(np.array(judged, dtype=bool)[codes].sum()),
        incomplete=ids.null_count + times.null_count,
    )


def time_order(initiated_at: NDArray[np.int64], ids: pa.ChunkedArray) -> NDArray[np.intp]:
    """Return the places of rows in order of time and, at the same time, of id.

    >>> time_order(np.array([7, 5, 7]), pa.chunked_array([["b", "c", "a"]])).tolist()
    [1, 2, 0]
    """
    order = np.argsort(initiated_at, kind="stable")
    at = initiated_at[order]
    equal = at[1:] == at[:-1]
    tied = np.flatnonzero(np.r_[equal, False] | np.r_[False, equal])
    rows = order[tied]
    names = np.array(ids.take(pa.array(rows)).fill_null("").to_pylist(), dtype=str)
    order[tied] = rows[np.lexsort((names, at[tied]))]
    return order


def with_content_hash(
    names: Sequence[str],
    matrix: FeatureMatrix,
    fraud: NDArray[np.bool_],
    initiated_at: NDArray[np.int64],
    amount: NDArray[np.float64],
    weight: NDArray[np.float64],
    facts: Mapping[str, Categories],
    quality: QualityReport,
) -> Dataset:
    """Return a data set with its content hash, whatever files its columns came in."""
    columns = dict(zip(names, matrix.digests, strict=True))
    others = {
        "fraud": digest(fraud),
        "initiated_at": digest(initiated_at),
        "amount": digest(amount),
        "weight": digest(weight),
        "facts": {name: [fact.values, digest(fact.codes)] for name, fact in sorted(facts.items())},
    }
    text = msgspec.json.encode({"rows": len(fraud), "features": list(columns.items()), **others})
    named = hashlib.sha256(text).hexdigest()
    return Dataset(tuple(names), matrix.values, fraud, initiated_at, amount, weight, facts, quality, named)
