"""Quality checks of a training set, before any training."""

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
"""Least and largest value by unit of a feature; other units are unbounded."""
_SLACK = 0.01  # tolerance of ranges: counters decay and are taken back, so zero is exact up to rounding only
_ROWS_MIN = 100  # rows from which shares are checked: those of fewer are noise
_LISTED = 10  # names in the text of a check
_UNITS = {feature.name: feature.unit for feature in FEATURES}


class QualityCheck(Struct, frozen=True):
    """The result of a check, with its figures in a sentence."""

    name: str
    passed: bool
    text: str


class QualityReport(Struct, frozen=True):
    """Figures and checks of a training set; it identifies no Pix.

    A Pix has a row for each side on which it was scored; `payees` is the number of rows of the payee's side.
    `fraud_share` is the share of frauds among all examples that the rows stand for, `sampled` the share of legitimate
    ones in the sample. `first_at` and `last_at` are the times of the first and last Pix in microseconds, None without
    rows. `missing` is the share of rows without a value, by feature.
    """

    rows: int
    payees: int
    frauds: int
    fraud_share: float
    sampled: float
    first_at: int | None
    last_at: int | None
    missing: dict[str, float]
    checks: list[QualityCheck]


class QualityInputs(NamedTuple):
    """Columns [n] in order of time, summaries of the features, and counts of defective rows.

    `weight` is the number of examples that a row stands for, `payees` the number of rows of the payee's side,
    `duplicates` of rows that repeat a side of a Pix, `unlabelled` of rows whose verdict is neither FRAUD nor
    LEGITIMATE, `incomplete` of missing ids and times. `until` is the latest time allowed, in microseconds.
    """

    fraud: NDArray[np.bool_]
    initiated_at: NDArray[np.int64]
    amount: NDArray[np.float64]
    summaries: Mapping[str, ColumnSummary]
    weight: NDArray[np.float64]
    payees: int
    duplicates: int
    unlabelled: int
    incomplete: int
    until: int


def require_columns(schemas: Sequence[pa.Schema], wanted: Mapping[str, str]) -> None:
    """Raise BadDataset unless every file has the columns `wanted`, each of its kind: time, number or text."""
    present = {name: {_kind(schema, name) for schema in schemas} for name in wanted}
    lacking = [name for name, kinds in present.items() if "" in kinds]
    wrong = [
        f"{name} is not a {wanted[name]}" for name, kinds in present.items() if not lacking and kinds - {wanted[name]}
    ]
    checks = [
        QualityCheck("columns", not lacking, f"{len(lacking)} columns are missing: {_some(lacking)}"),
        QualityCheck("types", not wrong, f"{len(wrong)} columns have another type: {_some(wrong)}"),
    ]
    _require(checks)


def inspect(inputs: QualityInputs, spec: DatasetSpec, profile: Profile | None) -> QualityReport:
    """Return the quality report of a training set. Raises BadDataset with every check that failed.

    `profile` is the champion's, the reference for missing values.
    """
    n, frauds = len(inputs.fraud), int(inputs.fraud.sum())
    legitimate = float(inputs.weight[~inputs.fraud].sum())
    pix = frauds + legitimate
    missing = {name: summary.missing / n if n else 0.0 for name, summary in inputs.summaries.items()}
    quality = QualityReport(
        rows=n,
        payees=inputs.payees,
        frauds=frauds,
        fraud_share=frauds / pix if n else 0.0,
        sampled=(n - frauds) / legitimate if legitimate else 1.0,
        first_at=int(inputs.initiated_at[0]) if n else None,
        last_at=int(inputs.initiated_at[-1]) if n else None,
        missing=missing,
        checks=[],
    )
    checks = [*_of_rows(inputs), *_of_features(inputs.summaries), *_of_shares(quality, spec, profile)]
    _require(checks)
    return QualityReport(
        **{name: getattr(quality, name) for name in QualityReport.__struct_fields__[:-1]}, checks=checks
    )


def _require(checks: list[QualityCheck]) -> None:
    """Raise BadDataset with every check that failed."""
    failed = [f"- {check.name}: {check.text}" for check in checks if not check.passed]
    if failed:
        raise BadDataset("\n".join(["the training set fails its quality checks:", *failed]))


def _of_rows(inputs: QualityInputs) -> Iterator[QualityCheck]:
    n, frauds = len(inputs.fraud), int(inputs.fraud.sum())
    verdicts = f"{frauds} frauds, {n - frauds - inputs.unlabelled} legitimate, {inputs.unlabelled} neither"
    yield QualityCheck("classes", inputs.unlabelled == 0, verdicts)
    yield QualityCheck("duplicates", inputs.duplicates == 0, f"{inputs.duplicates} rows repeat a side of a Pix")
    yield QualityCheck("sides", True, f"{n - inputs.payees} rows of the payer's side, {inputs.payees} of the payee's")
    yield QualityCheck("keys", inputs.incomplete == 0, f"{inputs.incomplete} rows lack an id or a time")
    future = n - int(np.searchsorted(inputs.initiated_at, inputs.until, side="right"))
    yield QualityCheck("time", future == 0, f"{future} rows are later than the cut-off allows")
    wrong = int(np.count_nonzero(~(inputs.amount > 0) | np.isinf(inputs.amount)))
    yield QualityCheck("amounts", wrong == 0, f"{wrong} amounts are missing, not positive or infinite")


def _of_features(summaries: Mapping[str, ColumnSummary]) -> Iterator[QualityCheck]:
    infinite = [name for name, summary in summaries.items() if np.isinf([summary.low, summary.high]).any()]
    yield QualityCheck("finite", not infinite, f"{len(infinite)} features hold infinite values: {_some(infinite)}")
    outside = [_range(name, summary) for name, summary in summaries.items() if _is_outside(name, summary)]
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
    text = f"{len(risen)} of {len(usual)} features are missing far more often than for the champion: {_some(risen)}"
    yield QualityCheck("missing", not risen, text)


def _is_outside(name: str, summary: ColumnSummary) -> bool:
    low, high = RANGES.get(_UNITS.get(name, ""), (-np.inf, np.inf))
    return summary.low < low - _SLACK or summary.high > high + _SLACK


def _range(name: str, summary: ColumnSummary) -> str:
    return f"{name} ({_UNITS[name]}) {summary.low:g} to {summary.high:g}"


def _kind(schema: pa.Schema, name: str) -> str:
    """Return the kind of a column: time, number, text, other, or "" if it is absent."""
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
    """Return the first names, and the number of the others.

    >>> _some([]), _some(["a", "b"])
    ('none', 'a, b')
    """
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "none") + more
