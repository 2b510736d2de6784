"""Training sets in the bucket, under their content hash: what a model has learnt from, to the last bit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from shared.contract.rows import FEATURE_PREFIX
from shared.errors import Misconfigured
from shared.learning.data.dataset import Categories, Dataset, with_content_hash
from shared.learning.data.matrix import ParquetColumns, read_matrix
from shared.learning.data.quality import QualityReport
from shared.learning.data.training_query import FACTS
from shared.learning.errors import BadDataset
from shared.learning.ports import Archive

FOLDER = "datasets"
ROW_GROUP = 65_536  # rows that are encoded at a time
_METADATA_KEY = b"training_set"
_HASH = re.compile(r"[0-9a-f]{64}")
_WRITER: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": list(FACTS),  # features are smaller without, and four times as fast to write
    "write_statistics": False,
    "version": "2.6",
}


class _Metadata(Struct, frozen=True):
    """What a file's columns do not say."""

    names: list[str]
    quality: QualityReport


def name_of(content_hash: str) -> str:
    """Return the name of a training set in the bucket.

    >>> name_of("00ff")
    'datasets/00ff.parquet'
    """
    return f"{FOLDER}/{content_hash}.parquet"


def save(archive: Archive, data: Dataset) -> str:
    """Write a training set, unless it is there, and return its name. Raises Unavailable, Misconfigured.

    It is written as it is encoded, ROW_GROUP rows at a time, so there is no second copy of it, nor a file on the way.
    """
    name = name_of(data.content_hash)

    def write(file: BinaryIO) -> None:
        with pq.ParquetWriter(file, _schema(data), **_WRITER) as writer:
            for table in _row_groups(data):
                writer.write_table(table, row_group_size=ROW_GROUP)

    archive.create(name, write)
    return name


def load(archive: Archive, content_hash: str, names: Sequence[str]) -> Dataset:
    """Return the training set of that hash, which has the features `names`.

    Raises Unavailable, Misconfigured if there is none, BadDataset if it is not what it was or has other features.
    """
    with TemporaryDirectory(prefix="snapshot-") as folder:
        file = Path(folder) / "snapshot.parquet"
        if not _HASH.fullmatch(content_hash) or not archive.fetch(name_of(content_hash), file):
            raise Misconfigured(
                f"there is no training set {content_hash!r}: give the 64 digits of a run's dataset hash"
            )
        try:
            data = _read(file)
        except (pa.ArrowException, OSError, KeyError, msgspec.MsgspecError) as error:
            raise BadDataset(f"training set {content_hash} cannot be read: {type(error).__name__}") from error
    if data.content_hash != content_hash:
        raise BadDataset(f"training set {content_hash} has been altered: its content is {data.content_hash}")
    if data.names != tuple(names):
        raise BadDataset(f"training set {content_hash} has other features than those that are computed now")
    return data


def _schema(data: Dataset) -> pa.Schema:
    about = msgspec.json.encode(_Metadata(list(data.names), data.quality))
    return next(_row_groups(data)).schema.with_metadata({_METADATA_KEY: about})


def _row_groups(data: Dataset) -> Iterator[pa.Table]:
    """Yield the rows ROW_GROUP at a time, at least one table; the columns are views of the arrays."""
    for start in range(0, max(len(data), 1), ROW_GROUP):
        rows = slice(start, start + ROW_GROUP)
        facts = {
            name: pa.DictionaryArray.from_arrays(fact.codes[rows], pa.array(fact.values, pa.string()))
            for name, fact in data.facts.items()
        }
        yield pa.table(
            {
                "initiated_at": pa.array(data.initiated_at[rows]).cast(pa.timestamp("us", tz="UTC")),
                "fraud": data.fraud[rows],
                "amount": data.amount[rows],
                "weight": data.weight[rows],
                **facts,
                **{FEATURE_PREFIX + name: data.features[rows, j] for j, name in enumerate(data.names)},
            }
        )


def _read(file: Path) -> Dataset:
    with ParquetColumns([file]) as source:
        [schema] = source.schemas
        about = msgspec.json.decode(schema.metadata[_METADATA_KEY], type=_Metadata)
        fraud = source.numbers("fraud", pa.bool_())
        initiated_at = source.numbers("initiated_at", pa.timestamp("us")).astype(np.int64)
        amount, weight = (source.numbers(name, pa.float64()) for name in ("amount", "weight"))
        facts = {name: Categories(*source.categories(name)) for name in FACTS}
    matrix = read_matrix([file], [FEATURE_PREFIX + name for name in about.names], np.arange(len(fraud)))
    return with_content_hash(about.names, matrix, fraud, initiated_at, amount, weight, facts, about.quality)
