"""The training set: features as served, with the verdict in force at a cut-off."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shared.contract.event import micros
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.tables import query
from shared.learning.errors import BadDataset
from shared.learning.ports import Exports
from shared.learning.quality import Quality
from shared.learning.split import DAY

FACTS = ("payer_ispb", "payee_ispb", "initiation_form", "fraud_type", "situation_type")
"""Columns that tell rows apart; the last two are of the report in force, "" where there is none."""
_KEYS = ("end_to_end_id", "initiated_at", "amount", "verdict", *FACTS)


class Categories(NamedTuple):
    """A column of words: the different ones in alphabetical order, and which of them each row has, int32 [n]."""

    values: tuple[str, ...]
    codes: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Examples in order of time.

    `features` is float32 [n, F] in column order (Fortran), the columns named by `names`; `fraud` bool [n],
    `initiated_at` int64 [n] in microseconds, `amount` float64 [n] in BRL, `weight` float64 [n], how many Pix of the
    table a row stands for. `facts` are what segments are made of and no model sees: the columns FACTS. `content_hash`
    is the SHA-256 of all of it.
    """

    names: tuple[str, ...]
    features: NDArray[np.float32]
    fraud: NDArray[np.bool_]
    initiated_at: NDArray[np.int64]
    amount: NDArray[np.float64]
    weight: NDArray[np.float64]
    facts: Mapping[str, Categories]
    quality: Quality
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
class Source:
    """Where examples come from: dataset `dataset` of `project`, complete once `maturity_days` old."""

    exports: Exports
    project: str
    dataset: str
    maturity_days: float


def read(source: Source, as_of: dt.datetime, names: Sequence[str]) -> Dataset:
    """Return what is known at `as_of` of every Pix that can be judged by then. Raises Unavailable, BadDataset.

    Pix younger than the maturity window are left out: of those only the frauds are known.
    """
    sql = training_query(source.project, source.dataset, source.maturity_days, as_of)
    with TemporaryDirectory(prefix="training-set-") as folder:
        files = source.exports.export(sql, Path(folder))
        return read_parquet(files, names, micros(as_of) - round(source.maturity_days * DAY))


def training_query(project: str, dataset: str, maturity_days: float, as_of: dt.datetime) -> str:
    """Return the GoogleSQL of the training set as of a moment."""
    moment = f"TIMESTAMP '{as_of.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}+00'"
    return query("training_examples", project, dataset, maturity_days, moment)


def read_parquet(files: Sequence[Path], names: Sequence[str], until: int) -> Dataset:
    """Return the examples initiated up to `until` (microseconds) in Parquet files. Raises BadDataset.

    Reads one column at a time and keeps it as float32, so the peak is the matrix and one column.
    """
    sources = [pq.ParquetFile(file) for file in files]
    try:
        return _read(sources, names, until)
    finally:
        for source in sources:
            source.close()


def _read(sources: list[pq.ParquetFile], names: Sequence[str], until: int) -> Dataset:
    _require_columns(sources, names)
    ids = np.array(_column(sources, "end_to_end_id", pa.string()), dtype="S")
    initiated_at = _column(sources, "initiated_at", pa.timestamp("us")).astype(np.int64)
    order = np.lexsort((ids, initiated_at))
    order = order[: np.searchsorted(initiated_at[order], until, side="right")]
    _require_unique(ids[order])
    fraud = (_column(sources, "verdict", pa.string()) == "FRAUD")[order]
    amount = _column(sources, "amount", pa.float64())[order]
    features = np.empty((len(order), len(names)), dtype=np.float32, order="F")
    for j, name in enumerate(names):
        features[:, j] = _column(sources, FEATURE_PREFIX + name, pa.float64())[order]
    _require_plausible(features, names, amount)
    weight = np.ones(len(order))
    facts = {name: _categories(_column(sources, name, pa.string())[order]) for name in FACTS}
    initiated_at = initiated_at[order]
    parts = (ids[order], initiated_at, fraud, amount, features.T, *(fact.codes for fact in facts.values()))
    words = [*names, *(value for fact in facts.values() for value in fact.values)]
    quality = _quality(names, features, fraud, initiated_at)
    return Dataset(
        tuple(names), features, fraud, initiated_at, amount, weight, facts, quality, content_hash(words, parts)
    )


def _categories(words: NDArray[Any]) -> Categories:
    values, codes = np.unique(np.where(words == None, "", words).astype(str), return_inverse=True)  # noqa: E711
    return Categories(tuple(values.tolist()), codes.astype(np.int32))


def _quality(
    names: Sequence[str], features: NDArray[np.float32], fraud: NDArray[np.bool_], at: NDArray[np.int64]
) -> Quality:
    n = len(fraud)
    missing = {
        name: float(np.isnan(column).sum() / max(n, 1)) for name, column in zip(names, features.T, strict=True)
    }
    first, last = (int(at[0]), int(at[-1])) if n else (None, None)
    return Quality(n, int(fraud.sum()), float(fraud.sum() / max(n, 1)), 1.0, first, last, missing, [])


def content_hash(names: Sequence[str], parts: Sequence[NDArray[Any]]) -> str:
    """Return the SHA-256 of column names and values, whatever files they came in."""
    total = hashlib.sha256("\n".join(names).encode())
    for part in parts:
        total.update(f"{part.dtype.str}{part.shape}".encode())
        total.update(np.ascontiguousarray(part).data)
    return total.hexdigest()


def _column(sources: list[pq.ParquetFile], name: str, kind: pa.DataType) -> NDArray[Any]:
    """Return one column of all files; NULL becomes NaN."""
    parts = [source.read(columns=[name]).column(0).cast(kind).to_numpy() for source in sources]
    return np.concatenate(parts) if parts else np.empty(0, dtype=kind.to_pandas_dtype())


def _require_columns(sources: list[pq.ParquetFile], names: Sequence[str]) -> None:
    wanted = {*_KEYS, *(FEATURE_PREFIX + name for name in names)}
    for source in sources:
        if missing := sorted(wanted - set(source.schema_arrow.names)):
            raise BadDataset(f"the training set lacks {len(missing)} columns: {missing[:5]}")


def _require_unique(ids: NDArray[Any]) -> None:
    repeated = len(ids) - len(np.unique(ids))
    if repeated:
        raise BadDataset(f"{repeated} transactions stand in the training set more than once")


def _require_plausible(features: NDArray[np.float32], names: Sequence[str], amount: NDArray[np.float64]) -> None:
    if not np.all(amount > 0):
        raise BadDataset("some amounts are missing or not positive")
    infinite = [name for name, column in zip(names, features.T, strict=True) if np.any(np.isinf(column))]
    if infinite:
        raise BadDataset(f"features hold infinite values: {infinite[:5]}")
