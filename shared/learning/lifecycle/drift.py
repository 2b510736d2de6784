"""Whether what is scored now still looks like what the champion was trained on.

Distributions are compared by the population stability index (PSI): the sum over bins of (a - e) ln(a / e), with the
shares a of the recent rows and e of the reference. Below 0.1 is usually read as stable, above 0.25 as a shift.
Source: Siddiqi, Credit Risk Scorecards, Wiley, 2006. The bins are those of the champion's profile, between its
deciles, and what is missing is a bin of its own.

What the clock tells is left out, since a day has one weekday and the reference has all. So is the time since
something was first seen, which grows as long as history does: the reference is older than the labels take to mature,
so each new champion would be found to have drifted at once, and training could not mend it.

A sample is read, and not counted in SQL: by chance alone the index is about (bins - 1) (1/n + 1/m) for n recent and m
reference rows (Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of Risk Model
Validation, 2020), so 0.0002 for SAMPLE rows, and a second definition of the bins is not needed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct
from numpy.typing import NDArray

from shared.contract.fields import NOBODY
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.tables import timestamp
from shared.learning.data.profile import DECIMALS, ColumnProfile, Profile, read_profile
from shared.learning.errors import NothingToDo
from shared.ports import Blobs, Queries, RowExports

SCORE = "score"
SAMPLE = 100_000
ROWS_MIN = 1_000
_LISTED = 5
_FLOOR = 1e-4  # an empty bin counts as this share, as its logarithm is infinite
_CLOCK = frozenset({"hour", "weekday", "night"})
_SINCE_FIRST = "_since_first"
_ROUNDING = 1e-5  # relative; equal scores that differ by rounding belong in one bin


class Traffic(Struct, frozen=True):
    """What was scored in a period: rows, those with history, and shares between 0 and 1 of all rows."""

    rows: int
    with_history: int
    degraded: float
    late: float
    alerts: float


class Drift(Struct, frozen=True):
    """How far recent rows are from the reference; `psi` is of the score and each feature compared, largest first.

    The score is left out if the champion has not scored enough rows yet.
    """

    version: str
    since: dt.datetime
    until: dt.datetime
    sampled: int
    traffic: Traffic
    psi: dict[str, float]

    def above(self, limit: float) -> dict[str, float]:
        """Return what has drifted by more than `limit`."""
        return {name: value for name, value in self.psi.items() if value > limit}


class Recent(NamedTuple):
    """Where recent rows are read: `score_events` in dataset `dataset` of `project`, initiated from `since` on."""

    queries: Queries
    exports: RowExports
    project: str
    dataset: str
    since: dt.datetime
    until: dt.datetime


def measure(recent: Recent, blobs: Blobs, version: str, rows_min: int = ROWS_MIN, sample: int = SAMPLE) -> Drift:
    """Compare recent rows with the profile of `version`. Raises NothingToDo, BundleRefused, Unavailable."""
    profile = comparable(read_profile(blobs, version))
    traffic = read_traffic(recent)
    if traffic.with_history < rows_min:
        raise NothingToDo(f"{traffic.with_history:,} of {rows_min:,} rows that drift is measured on")
    with TemporaryDirectory(prefix="drift-") as folder:
        files = recent.exports.export(sample_query(recent, profile, traffic.with_history, sample), Path(folder))
        sampled, psi = compare(files, profile, version, rows_min)
    ordered = dict(sorted(psi.items(), key=lambda item: -item[1]))
    return Drift(version, recent.since, recent.until, sampled, traffic, ordered)


def comparable(profile: Profile) -> Profile:
    """Return a profile without the features that differ between any two periods."""
    kept = {
        name: described
        for name, described in profile.features.items()
        if name not in _CLOCK and not name.endswith(_SINCE_FIRST)
    }
    return Profile(kept, profile.score)


def read_traffic(recent: Recent) -> Traffic:
    """Return what was scored. Raises Unavailable."""
    sql = (
        "SELECT COUNT(*) AS row_count, COUNTIF(history_sequence IS NOT NULL) AS with_history, "  # noqa: S608
        "COUNTIF(degraded) AS degraded, COUNTIF(late) AS late, COUNTIF(decision != 'APPROVE') AS alerts "
        f"FROM `{recent.project}.{recent.dataset}.score_events` "
        "WHERE initiated_at >= @since AND initiated_at < @until AND payer_ispb != @nobody"
    )
    [found] = recent.queries.rows(sql, {"since": recent.since, "until": recent.until, "nobody": NOBODY})
    rows = found["row_count"]
    shares = {name: found[name] / max(rows, 1) for name in ("degraded", "late", "alerts")}
    return Traffic(rows, found["with_history"], **shares)


def sample_query(recent: Recent, profile: Profile, rows: int, sample: int) -> str:
    """Return the GoogleSQL of about `sample` of the `rows` with history, the same ones each time."""
    names = ", ".join(FEATURE_PREFIX + name for name in profile.features)
    return (
        f"SELECT model_version, score, {names} "  # noqa: S608 (names of our own)
        f"FROM `{recent.project}.{recent.dataset}.score_events` "
        f"WHERE initiated_at >= {timestamp(recent.since)} AND initiated_at < {timestamp(recent.until)} "
        f"AND history_sequence IS NOT NULL AND payer_ispb != '{NOBODY}' "
        f"AND MOD(FARM_FINGERPRINT(end_to_end_id), {-(-rows // sample)}) = 0"
    )


def compare(files: Sequence[Path], profile: Profile, version: str, rows_min: int) -> tuple[int, dict[str, float]]:
    """Return how many rows the files hold, and the index of each column; one column is read at a time."""
    sources = [pq.ParquetFile(file) for file in files]
    try:
        psi = {
            name: stability_index(described, _column(sources, FEATURE_PREFIX + name).round(DECIMALS))
            for name, described in profile.features.items()
        }
        own = np.concatenate([_texts(source, "model_version") for source in sources]) == version
        if np.count_nonzero(own) >= rows_min:
            edges = [edge * (1 + _ROUNDING) for edge in profile.score.edges]
            described = msgspec.structs.replace(profile.score, edges=edges)
            psi[SCORE] = stability_index(described, _column(sources, SCORE)[own])
        return len(own), psi
    finally:
        for source in sources:
            source.close()


def stability_index(reference: ColumnProfile, values: NDArray[np.float64]) -> float:
    """Return the PSI of values [n], NaN where missing, against a reference.

    >>> halves = ColumnProfile(missing=0.0, edges=[0.0], counts=[5, 5])
    >>> stability_index(halves, np.array([-1.0, 1.0]))
    0.0
    >>> round(stability_index(halves, np.array([1.0, 1.0, 1.0, -1.0])), 3)
    0.275
    """
    expected, actual = _shares(reference), _observed(reference, values)
    expected, actual = np.maximum(expected, _FLOOR), np.maximum(actual, _FLOOR)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def _shares(reference: ColumnProfile) -> NDArray[np.float64]:
    """Return the share of what is missing, then of each bin."""
    counts = np.array(reference.counts or [0], dtype=np.float64)
    return np.concatenate([[reference.missing], counts / max(counts.sum(), 1) * (1 - reference.missing)])


def _observed(reference: ColumnProfile, values: NDArray[np.float64]) -> NDArray[np.float64]:
    present = values[~np.isnan(values)]
    places = np.searchsorted(reference.edges, present, side="left")  # a value at an edge belongs below it
    counts = np.bincount(places, minlength=len(reference.edges) + 1)
    return np.concatenate([[len(values) - len(present)], counts]) / max(len(values), 1)


def _column(sources: Sequence[pq.ParquetFile], name: str) -> NDArray[np.float64]:
    parts = [source.read(columns=[name]).column(0).cast(pa.float64()).to_numpy() for source in sources]
    return np.concatenate(parts)


def _texts(source: pq.ParquetFile, name: str) -> NDArray[Any]:
    return np.asarray(source.read(columns=[name]).column(0).to_pylist(), dtype=object)


def told(drift: Drift, limit: float) -> str:
    """Return what has drifted, in words; an empty text if nothing has.

    >>> at = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    >>> found = Drift("v1", at, at, 9, Traffic(9, 9, 0.0, 0.0, 0.0), {"amount": 0.31, "score": 0.1})
    >>> told(found, 0.25)
    'stability index above 0.25: amount 0.31'
    """
    above = drift.above(limit)
    if not above:
        return ""
    first = ", ".join(f"{name} {value:.2f}" for name, value in list(above.items())[:_LISTED])
    more = f" and {len(above) - _LISTED} more" if len(above) > _LISTED else ""
    return f"stability index above {limit:g}: {first}{more}"


def figures(drift: Drift) -> Mapping[str, float]:
    """Return what the ledger keeps of it."""
    shares = {name: getattr(drift.traffic, name) for name in ("degraded", "late", "alerts")}
    return {**{f"psi_{name}": value for name, value in list(drift.psi.items())[:_LISTED]}, **shares}
