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
from numpy.typing import NDArray

from shared.contract.fields import Side
from shared.contract.rows import FEATURE_PREFIX
from shared.learning.config import DatasetSpec
from shared.learning.data.matrix import FeatureMatrix, ParquetColumns, digest, read_matrix
from shared.learning.data.profile import Profile
from shared.learning.data.quality import QualityInputs, QualityReport, inspect, require_columns
from shared.learning.data.training_query import CAMPAIGN_FACTS, FACTS, RATE, TrainingQuery, legitimate_per_million
from shared.learning.data.training_sample import MILLION, SampleSql, extend
from shared.ports import Queries, RowExports

_KINDS = {"end_to_end_id": "text", "initiated_at": "time", "amount": "number", "verdict": "text", RATE: "number"}


class Categories(NamedTuple):
    """A categorical column: its distinct values in alphabetical order, and the index of each row's, int32 [n]."""

    values: tuple[str, ...]
    codes: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled examples in order of time, without ids: one for each side on which a Pix was scored.

    `features` is float32 [n, F] in Fortran order, its columns named by `names`; `fraud` bool [n]; `initiated_at`
    int64 [n] in microseconds; `amount` float64 [n] in BRL; `weight` float64 [n], the number of examples that a row
    stands for. `pix` int32 [n] numbers the Pix in order of time: both sides of a Pix are adjacent and have one number
    and one time, so no division in time separates them. `facts` are the columns FACTS, used to form segments and
    campaigns and hidden from models, "" where NULL; those of campaigns are numbers, not ids. `content_hash` is the
    SHA-256 of everything but `quality`.
    """

    names: tuple[str, ...]
    features: NDArray[np.float32]
    pix: NDArray[np.int32]
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
        """Return a copy of some rows and columns, float32 [rows, columns] in Fortran order."""
        taken = np.empty((len(rows), len(columns)), dtype=np.float32, order="F")
        for k, j in enumerate(columns):
            taken[:, k] = self.features[rows, j]
        return taken


@dataclass(frozen=True, slots=True)
class TrainingSource:
    """Source of examples: BigQuery dataset `dataset` of `project`; labels are final after `maturity_days`."""

    exports: RowExports
    queries: Queries
    project: str
    dataset: str
    maturity_days: float

    def extend_sample(self, as_of: dt.datetime, spec: DatasetSpec) -> None:
        """Append to the training sample all that is missing until `as_of`. Raises Unavailable, Misconfigured."""
        extend(self.queries, SampleSql(self.project, self.dataset, self.maturity_days, as_of), spec.sampled_a_day)


def read(
    source: TrainingSource, as_of: dt.datetime, names: Sequence[str], spec: DatasetSpec, profile: Profile | None
) -> Dataset:
    """Return the matured examples known at `as_of`, checked against the champion's profile.

    `spec.rows_max` bounds the memory: a row takes 4 bytes for each feature and about 150 for the rest. The exported
    files take as much space on disk for the time of the call. Raises Unavailable, Misconfigured, BadDataset.
    """
    examples = TrainingQuery(source.project, source.dataset, source.maturity_days, as_of)
    [counted] = source.queries.rows(examples.count(), {})
    fits = counted["rows"] <= spec.rows_max
    legitimate = MILLION if fits else legitimate_per_million(counted["labels"], counted["frauds"], spec.rows_max)
    with TemporaryDirectory(prefix="training-set-") as folder:
        files = source.exports.export(examples.rows(names, legitimate), Path(folder))
        return read_parquet(files, names, examples.until, spec, profile)


def read_parquet(
    files: Sequence[Path],
    names: Sequence[str],
    until: int,
    spec: DatasetSpec,
    profile: Profile | None,
) -> Dataset:
    """Return the examples in Parquet files. Raises BadDataset.

    No row may be later than `until`, in microseconds.
    """
    columns = [FEATURE_PREFIX + name for name in names]
    with ParquetColumns(files) as source:
        require_columns(source.schemas, _KINDS | dict.fromkeys(FACTS, "text") | dict.fromkeys(columns, "number"))
        keys = _key_columns(source)
    matrix = read_matrix(files, columns, keys.order)
    inputs = QualityInputs(
        fraud=keys.fraud,
        initiated_at=keys.initiated_at,
        amount=keys.amount,
        summaries=dict(zip(names, matrix.summaries, strict=True)),
        weight=keys.weight,
        duplicates=keys.duplicates,
        payees=keys.payees,
        unlabelled=keys.unlabelled,
        incomplete=keys.incomplete,
        until=until,
    )
    quality = inspect(inputs, spec, profile)
    return with_content_hash(
        names, matrix, keys.pix, keys.fraud, keys.initiated_at, keys.amount, keys.weight, keys.facts, quality
    )


class _KeyColumns(NamedTuple):
    """The columns other than features, in order of time; `order` [n] sorts rows so; counts of defective rows."""

    order: NDArray[np.intp]
    pix: NDArray[np.int32]
    fraud: NDArray[np.bool_]
    initiated_at: NDArray[np.int64]
    amount: NDArray[np.float64]
    weight: NDArray[np.float64]
    facts: dict[str, Categories]
    payees: int
    duplicates: int
    unlabelled: int
    incomplete: int


def _key_columns(source: ParquetColumns) -> _KeyColumns:
    ids = source.column("end_to_end_id", pa.string())
    times = source.column("initiated_at", pa.timestamp("us"))
    sides, side = source.categories("side")
    pix, initiated_at = number_pix(times.to_numpy().astype(np.int64), ids)
    order = np.lexsort((side, pix))
    again = (np.diff(pix[order]) == 0) & (np.diff(side[order]) == 0)
    verdicts, codes = source.categories("verdict")
    labelled = [verdict in ("FRAUD", "LEGITIMATE") for verdict in verdicts]
    facts = {name: source.categories(name) for name in FACTS}
    facts |= {name: (_numbered(facts[name][0]), facts[name][1]) for name in CAMPAIGN_FACTS}
    return _KeyColumns(
        order,
        pix[order],
        np.array([verdict == "FRAUD" for verdict in verdicts], dtype=bool)[codes][order],
        initiated_at[order],
        source.numbers("amount", pa.float64())[order],
        1.0 / source.numbers(RATE, pa.float64())[order],
        {name: Categories(values, codes[order]) for name, (values, codes) in facts.items()},
        payees=int(np.array([name == Side.PAYEE for name in sides], dtype=bool)[side].sum()),
        duplicates=int(again.sum()),
        unlabelled=len(codes) - int(np.array(labelled, dtype=bool)[codes].sum()),
        incomplete=ids.null_count + times.null_count,
    )


def _numbered(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return numbers in place of values, "" as it is: a training set is kept, and has no ids of accounts.

    The numbers are in alphabetical order, too.

    >>> _numbered(("", "a8f0", "c55e"))
    ('', '00000001', '00000002')
    """
    return tuple(f"{number:08d}" if value else "" for number, value in enumerate(values))


def number_pix(initiated_at: NDArray[np.int64], ids: pa.ChunkedArray) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the number of each row's Pix in order of time, from 0, and its time, both [n].

    The time of a Pix is the earliest of its rows: the two sides may state different ones.

    >>> number, at = number_pix(np.array([7, 5, 4]), pa.chunked_array([["b", "a", "b"]]))
    >>> number.tolist(), at.tolist()
    ([0, 1, 0], [4, 5, 4])
    """
    encoded = ids.fill_null("").combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    earliest = np.full(len(encoded.dictionary), np.iinfo(np.int64).max)
    np.minimum.at(earliest, codes, initiated_at)
    numbers = np.empty(len(earliest), dtype=np.int32)
    numbers[time_order(earliest, pa.chunked_array([encoded.dictionary]))] = np.arange(len(earliest), dtype=np.int32)
    return numbers[codes], earliest[codes]


def time_order(initiated_at: NDArray[np.int64], ids: pa.ChunkedArray) -> NDArray[np.intp]:
    """Return the indexes that sort Pix by time, and Pix of the same time by id.

    >>> time_order(np.array([7, 5, 7]), pa.chunked_array([["b", "c", "a"]])).tolist()
    [1, 2, 0]
    """
    order = np.argsort(initiated_at, kind="stable")
    at = initiated_at[order]
    equal = at[1:] == at[:-1]
    # Only Pix of equal times are sorted by id: a Python string for every Pix would take hundreds of megabytes.
    tied = np.flatnonzero(np.r_[equal, False] | np.r_[False, equal])
    rows = order[tied]
    names = np.array(ids.take(pa.array(rows)).fill_null("").to_pylist(), dtype=str)
    order[tied] = rows[np.lexsort((names, at[tied]))]
    return order


def with_content_hash(
    names: Sequence[str],
    matrix: FeatureMatrix,
    pix: NDArray[np.int32],
    fraud: NDArray[np.bool_],
    initiated_at: NDArray[np.int64],
    amount: NDArray[np.float64],
    weight: NDArray[np.float64],
    facts: Mapping[str, Categories],
    quality: QualityReport,
) -> Dataset:
    """Return a dataset with its content hash, which does not depend on how files divided the rows."""
    columns = dict(zip(names, matrix.digests, strict=True))
    others = {
        "pix": digest(pix),
        "fraud": digest(fraud),
        "initiated_at": digest(initiated_at),
        "amount": digest(amount),
        "weight": digest(weight),
        "facts": {name: [fact.values, digest(fact.codes)] for name, fact in sorted(facts.items())},
    }
    text = msgspec.json.encode({"rows": len(fraud), "features": list(columns.items()), **others})
    content_hash = hashlib.sha256(text).hexdigest()
    return Dataset(
        tuple(names), matrix.values, pix, fraud, initiated_at, amount, weight, facts, quality, content_hash
    )
