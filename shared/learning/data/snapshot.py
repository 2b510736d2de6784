"""Snapshots: training sets in the bucket, named by their content hash, so that a training can be repeated exactly."""

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
from shared.features.catalogue import feature_set
from shared.learning.data.dataset import Dataset, with_content_hash
from shared.learning.data.key_columns import Categories
from shared.learning.data.matrix import ParquetColumns, read_matrix
from shared.learning.data.quality import QualityReport
from shared.learning.data.training_query import FACTS
from shared.learning.errors import BadDataset
from shared.learning.ports import Archive

FOLDER = "datasets"
ROW_GROUP = 65_536  # rows encoded at a time, which bounds the memory of a write
_METADATA_KEY = b"training_set"
_HASH = re.compile(r"[0-9a-f]{64}")
_WRITER: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": list(FACTS),  # without it features are smaller, and four times as fast to write
    "write_statistics": False,
    "version": "2.6",
}


class _Metadata(Struct, frozen=True):
    """Metadata of a snapshot's file."""

    names: list[str]
    quality: QualityReport
    feature_set: str | None = None


def name_of(content_hash: str) -> str:
    """Return the object name of a snapshot.

    >>> name_of("00ff")
    'datasets/00ff.parquet'
    """
    return f"{FOLDER}/{content_hash}.parquet"


def save(archive: Archive, data: Dataset) -> str:
    """Write a snapshot unless it exists, and return its object name. Raises Unavailable, Misconfigured.

    Row groups are uploaded as they are encoded, so there is neither a second copy in memory nor a temporary file.
    """
    name = name_of(data.content_hash)

    def write(file: BinaryIO) -> None:
        with pq.ParquetWriter(file, _schema(data), **_WRITER) as writer:
            for table in _row_groups(data):
                writer.write_table(table, row_group_size=ROW_GROUP)

    archive.create(name, write)
    return name


def load(archive: Archive, content_hash: str, names: Sequence[str]) -> Dataset:
    """Return the training set with this content hash and the features `names`.

    Raises Unavailable, Misconfigured if it does not exist, BadDataset if its content, its features or their meanings
    differ.
    """
    with TemporaryDirectory(prefix="snapshot-") as folder:
        file = Path(folder) / "snapshot.parquet"
        if not _HASH.fullmatch(content_hash) or not archive.fetch(name_of(content_hash), file):
            raise Misconfigured(
                f"there is no training set {content_hash!r}: give the 64 digits of a run's dataset hash"
            )
        try:
            data, computed_as = _read(file)
        except (pa.ArrowException, OSError, KeyError, msgspec.MsgspecError) as error:
            raise BadDataset(f"training set {content_hash} cannot be read: {type(error).__name__}") from error
    if data.content_hash != content_hash:
        raise BadDataset(f"training set {content_hash} has been altered: its content is {data.content_hash}")
    if data.names != tuple(names):
        raise BadDataset(f"training set {content_hash} has other features than the present catalogue")
    if computed_as != feature_set(names):
        raise BadDataset(
            f"training set {content_hash} holds feature set {computed_as}, and the same names now mean "
            f"{feature_set(names)}: train on the tables instead"
        )
    return data


def _schema(data: Dataset) -> pa.Schema:
    metadata = msgspec.json.encode(_Metadata(list(data.names), data.quality, feature_set(data.names)))
    return next(_row_groups(data)).schema.with_metadata({_METADATA_KEY: metadata})


def _row_groups(data: Dataset) -> Iterator[pa.Table]:
    """Yield tables of ROW_GROUP rows, at least one, whose columns are views of the arrays."""
    for start in range(0, max(len(data), 1), ROW_GROUP):
        rows = slice(start, start + ROW_GROUP)
        facts = {
            name: pa.DictionaryArray.from_arrays(fact.codes[rows], pa.array(fact.values, pa.string()))
            for name, fact in data.facts.items()
        }
        yield pa.table(
            {
                "initiated_at": pa.array(data.initiated_at[rows]).cast(pa.timestamp("us", tz="UTC")),
                "pix": data.pix[rows],
                "fraud": data.fraud[rows],
                "amount": data.amount[rows],
                "weight": data.weight[rows],
                **facts,
                **{FEATURE_PREFIX + name: data.features[rows, j] for j, name in enumerate(data.names)},
            }
        )


def _read(file: Path) -> tuple[Dataset, str | None]:
    """Return the training set in a file and its feature set."""
    with ParquetColumns([file]) as source:
        [schema] = source.schemas
        metadata = msgspec.json.decode(schema.metadata[_METADATA_KEY], type=_Metadata)
        pix, fraud = source.numbers("pix", pa.int32()), source.numbers("fraud", pa.bool_())
        initiated_at = source.numbers("initiated_at", pa.timestamp("us")).astype(np.int64)
        amount, weight = (source.numbers(name, pa.float64()) for name in ("amount", "weight"))
        facts = {name: Categories(*source.categories(name)) for name in FACTS}
    matrix = read_matrix([file], [FEATURE_PREFIX + name for name in metadata.names], np.arange(len(fraud)))
    data = with_content_hash(
        metadata.names, matrix, pix, fraud, initiated_at, amount, weight, facts, metadata.quality
    )
    return data, metadata.feature_set
