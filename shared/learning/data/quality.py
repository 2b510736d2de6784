"""Look at a training set before anything is learnt from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from shared.features.catalogue import FEATURES
from shared.learning.config import DatasetSpec
from shared.learning.data.matrix import ColumnSummary
from shared.learning.data.profile import Profile
from shared.learning.errors import BadDataset

RANGES: Mapping[str, tuple[float, float]] = {
    "flag": (0.0, 1.0),
    "day": (0.0, 6.0),
    "-1..1": (-1.0, 1.0),
    "count": (0.0, np.inf),
    "ratio": (0.0, np.inf),
    "steps": (0.0, np.inf),
    "ln BRL": (0.0, np.inf),
}
"""What values in a unit lie between; the other units have no limits of their own."""
_SLACK = 0.01  # counters decay and are taken back, so zero is zero up to rounding
_ROWS_MIN = 100  # of fewer rows shares say nothing
_LISTED = 10
_UNITS = {feature.name: feature.unit for feature in FEATURES}


class QualityCheck(Struct, frozen=True):
    """One thing that was looked at: whether it is as it should be, and a sentence with the figures."""

    name: str
    passed: bool
    text: str


class QualityReport(Struct, frozen=True):
    """What a training set is like; no single Pix can be told from it.

    `fraud_share` is the share of frauds among the Pix that the rows stand for, `sampled` the share of legitimate Pix
    that were taken. `first_at` and `last_at` are the times of the first and last Pix in microseconds, None if there
    is none. `missing` is the share of rows without a value, for each feature.
    """

    rows: int
    frauds: int
    fraud_share: float
    sampled: float
    first_at: int | None
    last_at: int | None
    missing: dict[str, float]
    checks: list[QualityCheck]


class QualityInputs(NamedTuple):
    """What came in: columns of n rows in order of time, summaries of the features, and counts of what is wrong.

    `duplicates` rows have an id that others have, `unlabelled` rows have no verdict or one that teaches nothing, and
    `incomplete` rows lack an id or a time. No row should be later than `until` (microseconds).
    """

    fraud: NDArray[np.bool_]
    initiated_at: NDArray[np.int64]
    amount: NDArray[np.float64]
    summaries: Mapping[str, ColumnSummary]
    sampled: float
    duplicates: int
    unlabelled: int
    incomplete: int
    until: int


def require_columns(schemas: Sequence[pa.Schema], wanted: Mapping[str, str]) -> None:
    """Raise BadDataset unless every file has these columns, each of its kind: time, number or text."""
    found = {name: {_kind(schema, name) for schema in schemas} for name in wanted}
    lacking = [name for name, kinds in found.items() if "" in kinds]
    wrong = [
        f"{name} is no {wanted[name]}" for name, kinds in found.items() if not lacking and kinds - {wanted[name]}
    ]
    checks = [
        QualityCheck("columns", not lacking, f"{len(lacking)} columns are lacking: {_some(lacking)}"),
        QualityCheck("types", not wrong, f"{len(wrong)} columns have another type: {_some(wrong)}"),
    ]
    _require(checks)


def inspect(contents: QualityInputs, spec: DatasetSpec, profile: Profile | None) -> QualityReport:
    """Return what a training set is like. Raises BadDataset with all that is wrong with it.

    `profile` is that of the champion, which says how often its features used to be missing.
    """
    n, frauds = len(contents.fraud), int(contents.fraud.sum())
    pix = frauds + (n - frauds) / contents.sampled
    missing = {name: summary.missing / n if n else 0.0 for name, summary in contents.summaries.items()}
    quality = QualityReport(
        rows=n,
        frauds=frauds,
        fraud_share=frauds / pix if n else 0.0,
        sampled=contents.sampled,
        first_at=int(contents.initiated_at[0]) if n else None,
        last_at=int(contents.initiated_at[-1]) if n else None,
        missing=missing,
        checks=[],
    )
    checks = [*_of_rows(contents), *_of_features(contents.summaries), *_of_shares(quality, spec, profile)]
    _require(checks)
    return QualityReport(
        **{name: getattr(quality, name) for name in QualityReport.__struct_fields__[:-1]}, checks=checks
    )


def _require(checks: list[QualityCheck]) -> None:
    """Raise BadDataset with every check that failed."""
    failed = [f"- {check.name}: {check.text}" for check in checks if not check.passed]
    if failed:
        raise BadDataset("\n".join(["the training set is not fit to learn from:", *failed]))


def _of_rows(contents: QualityInputs) -> Iterator[QualityCheck]:
    n, frauds = len(contents.fraud), int(contents.fraud.sum())
    verdicts = f"{frauds} frauds, {n - frauds - contents.unlabelled} legitimate, {contents.unlabelled} neither"
    yield QualityCheck("classes", contents.unlabelled == 0, verdicts)
    yield QualityCheck("duplicates", contents.duplicates == 0, f"{contents.duplicates} rows repeat a Pix")
    yield QualityCheck("keys", contents.incomplete == 0, f"{contents.incomplete} rows lack an id or a time")
    future = n - int(np.searchsorted(contents.initiated_at, contents.until, side="right"))
    yield QualityCheck("time", future == 0, f"{future} rows are later than the cut-off allows")
    wrong = int(np.count_nonzero(~(contents.amount > 0) | np.isinf(contents.amount)))
    yield QualityCheck("amounts", wrong == 0, f"{wrong} amounts are missing, not positive or infinite")


def _of_features(summaries: Mapping[str, ColumnSummary]) -> Iterator[QualityCheck]:
    infinite = [name for name, found in summaries.items() if np.isinf([found.low, found.high]).any()]
    yield QualityCheck("finite", not infinite, f"{len(infinite)} features hold infinite values: {_some(infinite)}")
    outside = [_range(name, found) for name, found in summaries.items() if _is_outside(name, found)]
    yield QualityCheck("ranges", not outside, f"{len(outside)} features leave their range: {_some(outside)}")


def _of_shares(quality: QualityReport, spec: DatasetSpec, profile: Profile | None) -> Iterator[QualityCheck]:
    enough = quality.rows >= _ROWS_MIN
    text = f"{quality.fraud_share:.3%} of Pix are frauds, {spec.fraud_share_max:.0%} are plausible"
    yield QualityCheck("frauds", not enough or quality.fraud_share <= spec.fraud_share_max, text)
    usual = profile.features if profile else {}
    risen = [
        f"{name} {described.missing:.0%} -> {quality.missing[name]:.0%}"
        for name, described in usual.items()
        if enough and name in quality.missing and quality.missing[name] - described.missing > spec.missing_rise_max
    ]
    text = f"{len(risen)} of {len(usual)} features of the champion are missing far more often: {_some(risen)}"
    yield QualityCheck("missing", not risen, text)


def _is_outside(name: str, found: ColumnSummary) -> bool:
    low, high = RANGES.get(_UNITS.get(name, ""), (-np.inf, np.inf))
    return found.low < low - _SLACK or found.high > high + _SLACK


def _range(name: str, found: ColumnSummary) -> str:
    return f"{name} ({_UNITS[name]}) {found.low:g} to {found.high:g}"


def _kind(schema: pa.Schema, name: str) -> str:
    """Return what a column holds, "" if there is none."""
    if name not in schema.names:
        return ""
    kind = schema.field(name).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_timestamp(kind):
        return "time"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else "other"


def _some(names: Sequence[str]) -> str:
    """Return the first of these names.

    >>> _some([]), _some(["a", "b"])
    ('none', 'a, b')
    """
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "none") + more
