"""The reference distribution of a bundle's inputs and score, against which recent rows are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.errors import BundleRefused
from shared.ports.blobs import Blobs
from shared.scoring.verified_file import verified_file

_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
DECIMALS = 3
"""Decimals of feature values in histograms: decayed counters never reach zero, but 1e-30 and 1e-20 are equal."""
_DECILES = np.linspace(0.1, 0.9, 9)
_FLOOR = 1e-3  # least share of a bin: the logarithm of an empty one is infinite, that of a rare one is noise


class ColumnProfile(Struct, frozen=True, omit_defaults=True):
    """Reference of a column: share missing, inner edges of the histogram, and the number of values in each bin.

    `effects` of an input are its mean contributions to the log-odds of the raw score, where it is missing, then in
    each bin; None where the reference has no row. A bundle of before has none.
    """

    missing: float
    edges: list[float]
    counts: list[int]
    effects: list[float | None] | None = None


class Profile(Struct, frozen=True):
    """The part of a bundle's `profile.json` that is compared with recent rows."""

    features: dict[str, ColumnProfile]
    score: ColumnProfile


class ExplainedRows(NamedTuple):
    """Rows of the reference, float32 [m, F], and the contribution of each input to their log-odds, [m, F].

    `absent` [F] is the mean contribution of each input if it were missing, for inputs that never are.
    """

    rows: NDArray[np.float32]
    contributions: NDArray[np.float64]
    absent: NDArray[np.float64]


def reference_profile(
    features: NDArray[np.float32], names: Sequence[str], scores: NDArray[np.float64], explained: ExplainedRows
) -> dict[str, Any]:
    """Return the profile of features [n, F] and calibrated scores [n], ready for JSON."""
    columns = {name: describe(features[:, j], DECIMALS) for j, name in enumerate(names)}
    for j, column in enumerate(columns.values()):
        missing, *bins = effects(explained.rows[:, j], explained.contributions[:, j], column["edges"])
        column["effects"] = [float(explained.absent[j]) if missing is None else missing, *bins]
    return {"features": columns, "score": describe(scores)}


def effects(values: NDArray[np.float32], contributions: NDArray[np.float64], edges: Sequence[float]) -> list[Any]:
    """Return the mean contribution [n] of missing values, then of those in each bin; None where there are none.

    >>> effects(np.float32([1, 1, np.nan]), np.array([0.5, 0.7, -1.0]), [1.0])
    [-1.0, 0.6, None]
    """
    bins = np.where(np.isnan(values), 0, 1 + bin_of(values, edges))
    number = np.bincount(bins, minlength=len(edges) + 2)
    sums = np.bincount(bins, contributions, minlength=len(edges) + 2)
    return [float(total / count) if count else None for total, count in zip(sums, number, strict=True)]


def bin_of(values: NDArray[Any], edges: Sequence[float]) -> NDArray[np.intp]:
    """Return the bin of each value [n] that is not missing; an edge belongs below it.

    >>> bin_of(np.array([0.5, 1.0, 1.5]), [1.0]).tolist()
    [0, 0, 1]
    """
    return np.searchsorted(np.asarray(edges), values.astype(np.float64).round(DECIMALS), side="left")


def read_profile(blobs: Blobs, version: str) -> Profile:
    """Return the profile of a bundle. Raises BundleRefused, Unavailable."""
    data = verified_file(blobs, version, "profile.json")
    try:
        return msgspec.json.decode(data, type=Profile)
    except msgspec.MsgspecError as error:
        raise BundleRefused(f"{version}: profile.json cannot be read: {error}") from error


def describe(column: NDArray[Any], decimals: int | None = None) -> dict[str, Any]:
    """Return count, share missing, moments, quantiles and a histogram between deciles.

    `counts` has one entry more than `edges`: values up to the first edge, between edges, above the last. Values in
    the histogram are rounded to `decimals`. `median` is None if most values are missing, as an explanation then
    compares with "missing".

    >>> describe(np.array([1.0, 2.0, np.nan]))["missing"]
    0.3333333333333333
    """
    present = np.sort(column[~np.isnan(column)].astype(np.float64))
    missing = float(np.isnan(column).mean())
    summary: dict[str, Any] = {"count": len(column), "missing": missing}
    if not len(present):
        return summary | {"mean": None, "std": None, "median": None, "quantiles": {}, "edges": [], "counts": []}
    quantiles = np.quantile(present, _QUANTILES).tolist()
    rounded = present if decimals is None else present.round(decimals)
    edges = np.unique(np.quantile(rounded, _DECILES))  # equal deciles of a discrete column are one edge
    below = np.searchsorted(rounded, edges, side="right")
    return summary | {
        "mean": float(present.mean()),
        "std": float(present.std()),
        "median": quantiles[_QUANTILES.index(0.5)] if missing < 0.5 else None,
        "quantiles": {f"{q:g}": value for q, value in zip(_QUANTILES, quantiles, strict=True)},
        "edges": edges.tolist(),
        "counts": np.diff([0, *below.tolist(), len(present)]).tolist(),
    }


def column_profile(column: NDArray[Any], decimals: int | None = None) -> ColumnProfile:
    """Return the part of `describe` that is compared."""
    return msgspec.convert(describe(column, decimals), ColumnProfile, strict=False)


class OrderedColumn(NamedTuple):
    """The values of a column that are not missing, ascending, and the number of all rows."""

    present: NDArray[np.float64]
    rows: int

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> OrderedColumn:
        """Return values [n], NaN where missing, in order."""
        return cls(np.sort(values[~np.isnan(values)]), len(values))


def stability_index(reference: ColumnProfile, column: OrderedColumn) -> float:
    """Return the population stability index of a column against a reference.

    It is the sum over bins of (a - e) ln(a / e), with the shares a of the column and e of the reference. The bins are
    those between the reference's deciles; missing values have a bin of their own.

    >>> halves = ColumnProfile(missing=0.0, edges=[0.0], counts=[5, 5])
    >>> stability_index(halves, OrderedColumn.of(np.array([-1.0, 1.0])))
    0.0
    >>> round(stability_index(halves, OrderedColumn.of(np.array([1.0, 1.0, 1.0, -1.0]))), 3)
    0.275
    """
    return _index(_shares(reference), _observed(reference, column))


def stability_of(reference: ColumnProfile, counts: Sequence[int]) -> float:
    """Return the stability index of a column without missing values, from its count in each bin of the reference.

    >>> halves = ColumnProfile(missing=0.0, edges=[0.0], counts=[5, 5])
    >>> stability_of(halves, [1, 1]), round(stability_of(halves, [3, 1]), 3)
    (0.0, 0.275)
    """
    shares = np.array(counts, np.float64) / max(sum(counts), 1)
    return _index(_shares(reference), np.concatenate([[0.0], shares]))


def _index(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> float:
    """Return the index of shares of bins, each at least _FLOOR."""
    expected, actual = np.maximum(expected, _FLOOR), np.maximum(actual, _FLOOR)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def _shares(reference: ColumnProfile) -> NDArray[np.float64]:
    """Return the share of missing values, then of each bin."""
    counts = np.array(reference.counts or [0], dtype=np.float64)
    return np.concatenate([[reference.missing], counts / max(counts.sum(), 1) * (1 - reference.missing)])


def _observed(reference: ColumnProfile, column: OrderedColumn) -> NDArray[np.float64]:
    """Return the share of missing values, then of those in each bin of the reference; an edge belongs below it."""
    below = np.searchsorted(column.present, reference.edges, side="right")
    counts = np.diff(below, prepend=0, append=len(column.present))
    return np.concatenate([[column.rows - len(column.present)], counts]) / max(column.rows, 1)
