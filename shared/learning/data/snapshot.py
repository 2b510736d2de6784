"""Snapshots: training sets in the bucket, named by their content hash, so that a training can be repeated exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from shared.learning.data.defects import some
from shared.learning.data.key_columns import Categories
from shared.learning.data.matrix import ParquetColumns, read_matrix
from shared.learning.data.quality import QualityReport
from shared.learning.data.training_query import FACTS
from shared.learning.errors import BadDataset
from shared.learning.ports import Archive

FOLDER = "datasets"
ROW_GROUP = 65_536  # rows encoded at a time, which bounds the memory of a write
_METADATA_KEY = b"training_set"
_LABEL_WEIGHT = "label_weight"
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

    A feature that is new since then is missing in every row, so no model uses it. Raises Unavailable, Misconfigured
    if it does not exist, BadDataset if its content or the meaning of a feature differs, or a feature is no more.
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
    if gone := [name for name in data.names if name not in names]:
        raise BadDataset(f"training set {content_hash} has features that are no more: {some(gone)}")
    if computed_as != feature_set(data.names):
        raise BadDataset(
            f"training set {content_hash} holds feature set {computed_as}, and the same names now mean "
            f"{feature_set(data.names)}: train on the tables instead"
        )
    return data if data.names == tuple(names) else _with_features(data, names)


def quality_in(file: Path) -> QualityReport:
    """Return the quality report in the file of a snapshot. Raises BadDataset."""
    try:
        metadata = pq.read_schema(file).metadata or {}
        return msgspec.json.decode(metadata[_METADATA_KEY], type=_Metadata).quality
    except (pa.ArrowException, OSError, KeyError, msgspec.MsgspecError) as error:
        raise BadDataset(f"a training set cannot be read: {type(error).__name__}") from error


def _with_features(data: Dataset, names: Sequence[str]) -> Dataset:
    """Return the same training set, under the same hash, with features `names`: those that it lacks are missing."""
    features = np.full((len(data), len(names)), np.nan, dtype=np.float32, order="F")
    for j, name in enumerate(data.names):
        features[:, names.index(name)] = data.features[:, j]
    return replace(data, names=tuple(names), features=features)


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
                _LABEL_WEIGHT: data.label_weight[rows],
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
        # Snapshots of before labels had weights lack them; no row stood for another decision.
        weighted = _LABEL_WEIGHT in schema.names
        label_weight = source.numbers(_LABEL_WEIGHT, pa.float64()) if weighted else np.ones(len(fraud))
        facts = {name: Categories(*source.categories(name)) for name in FACTS}
    matrix = read_matrix([file], [FEATURE_PREFIX + name for name in metadata.names], np.arange(len(fraud)))
    data = with_content_hash(
        *(metadata.names, matrix, pix, fraud, initiated_at, amount, weight, label_weight, facts, metadata.quality)
    )
    return data, metadata.feature_set
