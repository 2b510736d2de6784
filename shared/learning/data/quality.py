"""Quality checks of a training set, before any training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import pyarrow as pa
from msgspec import Struct

from shared.learning.data.defects import Defect, some
from shared.learning.data.label_chance import Representation
from shared.learning.data.profile import Profile
from shared.learning.data.row_counts import RowCounts
from shared.learning.data.unlabelled import Unlabelled
from shared.learning.errors import BadDataset
from shared.learning.specs.data import DatasetSpec

_ROWS_MIN = 100  # rows from which shares are checked: those of fewer are noise


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
    rows. `missing` is the share of rows without a value, by feature. `left_out` are the rows that cannot be used,
    which no other figure includes. `unlabelled` counts the decisions of that time without a label, which are no rows,
    and `representation` says how far the rows stand for them; the other figures are of labelled examples alone.
    `all_rows` is the report of all rows of which a sample was taken, None where nobody counted these.
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
    left_out: list[Defect] = []
    unlabelled: list[Unlabelled] = []
    representation: Representation = Representation()
    all_rows: QualityReport | None = None

    @property
    def widest(self) -> QualityReport:
        """The report of the most rows that were checked: all of them, or those of the training set."""
        return self.all_rows or self


def require_columns(schemas: Sequence[pa.Schema], wanted: Mapping[str, str]) -> None:
    """Raise BadDataset unless every file has the columns `wanted`, each of its kind: time, number or text."""
    present = {name: {_kind(schema, name) for schema in schemas} for name in wanted}
    lacking = [name for name, kinds in present.items() if "" in kinds]
    wrong = [
        f"{name} is not a {wanted[name]}" for name, kinds in present.items() if not lacking and kinds - {wanted[name]}
    ]
    checks = [
        QualityCheck("columns", not lacking, f"{len(lacking)} columns are missing: {some(lacking)}"),
        QualityCheck("types", not wrong, f"{len(wrong)} columns have another type: {some(wrong)}"),
    ]
    _require(checks)


def inspect(counts: RowCounts, spec: DatasetSpec, profile: Profile | None) -> QualityReport:
    """Return the quality report of a training set. Raises BadDataset with every check that failed.

    `profile` is the champion's, the reference for the number of missing values.
    """
    n, frauds, legitimate = counts.rows, counts.frauds, counts.legitimate
    pix = frauds + legitimate
    quality = QualityReport(
        rows=n,
        payees=counts.payees,
        frauds=frauds,
        fraud_share=frauds / pix if n else 0.0,
        sampled=(n - frauds) / legitimate if legitimate else 1.0,
        first_at=counts.first_at,
        last_at=counts.last_at,
        missing={name: count / n if n else 0.0 for name, count in counts.missing.items()},
        checks=[],
        left_out=[one.told() for one in counts.defects if one.rows],
    )
    checks = [*_of_rows(counts, spec), *_of_shares(quality, spec, profile)]
    _require(checks)
    return msgspec.structs.replace(quality, checks=checks)


def _require(checks: list[QualityCheck]) -> None:
    """Raise BadDataset with every check that failed."""
    failed = [f"- {check.name}: {check.text}" for check in checks if not check.passed]
    if failed:
        raise BadDataset("\n".join(["the training set fails its quality checks:", *failed]))


def _of_rows(counts: RowCounts, spec: DatasetSpec) -> Iterator[QualityCheck]:
    n, frauds, payees = counts.rows, counts.frauds, counts.payees
    yield QualityCheck("read", True, f"{frauds} frauds, {n - frauds} legitimate")
    yield QualityCheck("sides", True, f"{n - payees} rows of the payer's side, {payees} of the payee's")
    rows, bad_frauds = (sum(getattr(one, name) for one in counts.defects) for name in ("rows", "frauds"))
    few = _is_few(rows, counts.read, spec) and _is_few(bad_frauds, counts.frauds_read, spec)
    for one in counts.defects:
        yield QualityCheck(one.name, few or not one.rows, one.told().text)
    text = f"{rows} of {counts.read} rows and {bad_frauds} of {counts.frauds_read} frauds are left out"
    yield QualityCheck("left out", few, f"{text}; {spec.left_out_max:.1%} of either may be")


def _is_few(left_out: int, read: int, spec: DatasetSpec) -> bool:
    """Return whether so many rows may be left out; a single one always may."""
    return left_out <= max(1.0, spec.left_out_max * read)


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
    text = f"{len(risen)} of {len(usual)} features are missing far more often than for the champion: {some(risen)}"
    yield QualityCheck("missing", not risen, text)


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
