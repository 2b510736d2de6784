"""The training set: features as served, with the verdict in force at a cut-off."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.rows import FEATURE_PREFIX
from shared.learning.data.defects import count_defect, outside
from shared.learning.data.key_columns import Categories, KeyColumns, key_columns
from shared.learning.data.label_chance import (
    COLUMNS,
    LabelRates,
    label_chances,
    label_rates,
    label_weights,
    representation,
)
from shared.learning.data.matrix import FeatureMatrix, ParquetColumns, digest, read_matrix
from shared.learning.data.profile import Profile
from shared.learning.data.quality import QualityReport, inspect, require_columns
from shared.learning.data.row_counts import RowCounts, counts_of
from shared.learning.data.training_query import FACTS, RATE, TrainingQuery, legitimate_per_million
from shared.learning.data.training_sample import MILLION, SampleSql, extend
from shared.learning.data.unlabelled import decision_counts, unlabelled
from shared.learning.specs.data import DatasetSpec
from shared.ports.tables import Queries, RowExports

_KINDS = {"end_to_end_id": "text", "initiated_at": "time", "amount": "number", "verdict": "text", RATE: "number"}
_KINDS |= dict(zip(COLUMNS, ("text", "text", "number"), strict=True))


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled examples in order of time, without ids: one for each side on which a Pix was scored.

    `features` is float32 [n, F] in Fortran order, its columns named by `names`; `fraud` bool [n]; `initiated_at`
    int64 [n] in microseconds; `amount` float64 [n] in BRL. `weight` float64 [n] is the number of decisions that a row
    stands for: that of labelled examples, if these are sampled, times `label_weight`, the number of decisions like it
    that have no label, itself included (see `label_chance`). `pix` int32 [n] numbers the Pix in order of time: both
    sides of a Pix are adjacent and have one number and one time, so no division in time separates them. `facts` are
    the columns FACTS, used to form segments and campaigns and hidden from models, "" where NULL; those of campaigns
    are numbers, not ids. `content_hash` is the SHA-256 of everything but `quality`.
    """

    names: tuple[str, ...]
    features: NDArray[np.float32]
    pix: NDArray[np.int32]
    fraud: NDArray[np.bool_]
    initiated_at: NDArray[np.int64]
    amount: NDArray[np.float64]
    weight: NDArray[np.float64]
    label_weight: NDArray[np.float64]
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

    def now(self) -> dt.datetime:
        """Return the time by the clock of the tables. Raises Unavailable."""
        [row] = self.queries.rows("SELECT CURRENT_TIMESTAMP() AS now", {})
        moment: dt.datetime = row["now"]
        return moment

    def extend_sample(self, as_of: dt.datetime, spec: DatasetSpec) -> None:
        """Append to the training sample all that is missing until `as_of`. Raises Unavailable, Misconfigured."""
        extend(self.queries, SampleSql(self.project, self.dataset, self.maturity_days, as_of), spec.sampled_a_day)


class SampledRows(NamedTuple):
    """The Parquet files of a sample, and counts of all rows of which it was taken: None where nobody counted."""

    files: Sequence[Path]
    every: RowCounts | None = None


class SampleRows(Protocol):
    """Sampler of the examples of a query."""

    def __call__(
        self, exports: RowExports, query: TrainingQuery, names: Sequence[str], legitimate: int, folder: Path
    ) -> SampledRows:
        """Return the rows of `query.rows(names, legitimate)` in files of `folder`.

        Raises Unavailable, Misconfigured.
        """
        ...


def sampled_by_tables(
    exports: RowExports, query: TrainingQuery, names: Sequence[str], legitimate: int, folder: Path
) -> SampledRows:
    """Let BigQuery take the sample. Raises Unavailable, Misconfigured."""
    return SampledRows(exports.export(query.rows(names, legitimate), folder))


def read(
    source: TrainingSource,
    as_of: dt.datetime,
    names: Sequence[str],
    spec: DatasetSpec,
    profile: Profile | None,
    sample: SampleRows = sampled_by_tables,
) -> Dataset:
    """Return the matured examples known at `as_of`, checked against the champion's profile.

    Where a sampler counts all rows, these are checked, too: the sample has few of the rows that are bad.

    `spec.rows_max` bounds the memory: a row takes 4 bytes for each feature and about 150 for the rest. The exported
    files take as much space on disk for the time of the call. Raises Unavailable, Misconfigured, BadDataset.
    """
    examples = TrainingQuery(source.project, source.dataset, source.maturity_days, as_of, spec.window_days)
    [counted] = source.queries.rows(examples.count(), {})
    fits = counted["rows"] <= spec.rows_max
    legitimate = MILLION if fits else legitimate_per_million(counted["labels"], counted["kept"], spec.rows_max)
    first, where = counted["first_at"], (source.queries, source.project, source.dataset, source.maturity_days)
    counts = [] if first is None else decision_counts(*where, first, as_of)
    with TemporaryDirectory(prefix="training-set-") as folder:
        found = sample(source.exports, examples, names, legitimate, Path(folder))
        every = inspect(found.every, spec, profile) if found.every else None
        data = read_parquet(found.files, names, examples.until, spec, profile, label_rates(counts))
    quality = msgspec.structs.replace(data.quality, unlabelled=unlabelled(counts), all_rows=every)
    return replace(data, quality=quality)


def read_parquet(
    files: Sequence[Path],
    names: Sequence[str],
    until: int,
    spec: DatasetSpec,
    profile: Profile | None,
    rates: LabelRates,
) -> Dataset:
    """Return the examples in Parquet files without those that cannot be used. Raises BadDataset.

    No row may be later than `until`, in microseconds. `rates` are the shares of held Pix that have a label.
    """
    keys, matrix = usable_rows(files, names, until)
    chance = label_chances(keys.decided, keys.pix, rates)
    stands = representation(keys.decided, keys.fraud, keys.weight, chance, rates, spec.label_weight_max)
    quality = msgspec.structs.replace(inspect(row_counts(keys, matrix, names), spec, profile), representation=stands)
    label_weight = label_weights(chance, spec.label_weight_max)
    weight = keys.weight * label_weight
    return with_content_hash(
        *(names, matrix, keys.pix, keys.fraud, keys.initiated_at, keys.amount),
        *(weight, label_weight, keys.facts, quality),
    )


def usable_rows(files: Sequence[Path], names: Sequence[str], until: int) -> tuple[KeyColumns, FeatureMatrix]:
    """Return the rows of Parquet files in order of time, without those that cannot be used. Raises BadDataset."""
    columns = [FEATURE_PREFIX + name for name in names]
    with ParquetColumns(files) as source:
        require_columns(source.schemas, _KINDS | dict.fromkeys(FACTS, "text") | dict.fromkeys(columns, "number"))
        keys = key_columns(source, until)
    return _in_range(keys, read_matrix(files, columns, keys.order), names)


def row_counts(keys: KeyColumns, matrix: FeatureMatrix, names: Sequence[str]) -> RowCounts:
    """Return the counts of usable rows, by which they are checked."""
    return counts_of(keys, {name: one.missing for name, one in zip(names, matrix.summaries, strict=True)})


def _in_range(keys: KeyColumns, matrix: FeatureMatrix, names: Sequence[str]) -> tuple[KeyColumns, FeatureMatrix]:
    """Leave out the rows with a feature that cannot be."""
    bad, ranges = outside(matrix, names)
    says = "have an infinite feature or one out of its range"
    found = count_defect("ranges", bad, keys.fraud, keys.initiated_at, says, ranges)
    if not found.rows:
        return keys._replace(defects=[*keys.defects, found]), matrix
    return keys.take(~bad, found), matrix.take(~bad)


def with_content_hash(
    names: Sequence[str],
    matrix: FeatureMatrix,
    pix: NDArray[np.int32],
    fraud: NDArray[np.bool_],
    initiated_at: NDArray[np.int64],
    amount: NDArray[np.float64],
    weight: NDArray[np.float64],
    label_weight: NDArray[np.float64],
    facts: Mapping[str, Categories],
    quality: QualityReport,
) -> Dataset:
    """Return a dataset with its content hash, which does not depend on how files divided the rows.

    Label weights that are all 1 leave the hash as it was before there were any, by which older snapshots are named.
    """
    columns = dict(zip(names, matrix.digests, strict=True))
    others = {
        "pix": digest(pix),
        "fraud": digest(fraud),
        "initiated_at": digest(initiated_at),
        "amount": digest(amount),
        "weight": digest(weight),
        **({} if np.all(label_weight == 1) else {"label_weight": digest(label_weight)}),
        "facts": {name: [fact.values, digest(fact.codes)] for name, fact in sorted(facts.items())},
    }
    text = msgspec.json.encode({"rows": len(fraud), "features": list(columns.items()), **others})
    content_hash = hashlib.sha256(text).hexdigest()
    return Dataset(
        *(tuple(names), matrix.values, pix, fraud, initiated_at, amount),
        *(weight, label_weight, facts, quality, content_hash),
    )
