"""Measure whether recent traffic still has the distributions that the champion was trained on.

Distributions are compared by the population stability index (PSI): the sum over bins of (a - e) ln(a / e), with the
shares a of the recent rows and e of the reference. Below 0.1 is usually read as stable, above 0.25 as a shift.
Source: Siddiqi, Credit Risk Scorecards, Wiley, 2006. The bins are those of the champion's profile, between its
deciles, and missing values have a bin of their own.

Features of the clock are left out, since a day has one weekday and the reference has all. So is the time since
something was first seen, which grows with the age of the history: the reference is older than the labels take to
mature, so each new champion would appear to have drifted at once, and training could not correct it.

A sample is read instead of counting in SQL, so that the bins have one definition. The sampling error is small: by
chance alone the index is about (bins - 1) (1/n + 1/m) for n recent and m reference rows (Yurdakul and Naranjo,
Statistical properties of the population stability index, Journal of Risk Model Validation, 2020), so 0.0002 for
SAMPLE rows.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
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
from shared.learning.lifecycle.ledger import drift_row
from shared.learning.lifecycle.pointer import read_pointer
from shared.learning.ports import Ledger
from shared.ports import Blobs, Queries, RowExports

log = logging.getLogger(__name__)

SCORE = "score"
SAMPLE = 100_000
ROWS_MIN = 1_000
_LISTED = 5  # features named in an alert and stored in the ledger
_FLOOR = 1e-4  # share of an empty bin, whose logarithm would be infinite
_CLOCK = frozenset({"hour", "weekday", "night"})
_SINCE_FIRST = "_since_first"
_ROUNDING = 1e-5  # relative, of an edge; equal scores that differ by rounding belong in one bin


class Traffic(Struct, frozen=True):
    """The rows scored in a period, those scored with history, and shares between 0 and 1 of all rows."""

    rows: int
    with_history: int
    degraded: float
    late: float
    alerts: float


class Drift(Struct, frozen=True):
    """Distance of recent rows from the reference; `psi` has the score and each compared feature, largest first.

    The score is left out if the champion has not scored enough rows yet.
    """

    version: str
    since: dt.datetime
    until: dt.datetime
    sampled: int
    traffic: Traffic
    psi: dict[str, float]

    def above(self, limit: float) -> dict[str, float]:
        """Return the features, and perhaps the score, whose index is above `limit`."""
        return {name: value for name, value in self.psi.items() if value > limit}


class DriftSource(NamedTuple):
    """Table `score_events` of `dataset` in `project`, limited to Pix initiated from `since` to before `until`."""

    queries: Queries
    exports: RowExports
    project: str
    dataset: str
    since: dt.datetime
    until: dt.datetime


def champion_drift(source: DriftSource, blobs: Blobs, rows_min: int = ROWS_MIN) -> Drift:
    """Compare recent rows with the profile of the version that serves.

    Raises NothingToDo if no model serves or too few rows have history, BundleRefused, Unavailable.
    """
    version = read_pointer(blobs).version
    if version is None:
        raise NothingToDo("no model serves")
    return measure(source, blobs, version, rows_min)


def measure(source: DriftSource, blobs: Blobs, version: str, rows_min: int = ROWS_MIN, sample: int = SAMPLE) -> Drift:
    """Compare recent rows with the profile of `version`. Raises NothingToDo, BundleRefused, Unavailable."""
    profile = comparable(read_profile(blobs, version))
    traffic = read_traffic(source)
    if traffic.with_history < rows_min:
        raise NothingToDo(f"{traffic.with_history:,} of {rows_min:,} rows with history that measuring drift needs")
    with TemporaryDirectory(prefix="drift-") as folder:
        files = source.exports.export(sample_query(source, profile, traffic.with_history, sample), Path(folder))
        sampled, psi = compare(files, profile, version, rows_min)
    ordered = dict(sorted(psi.items(), key=lambda item: -item[1]))
    return Drift(version, source.since, source.until, sampled, traffic, ordered)


def record_drift(drift: Drift, limit: float, ledger: Ledger, clock: Callable[[], dt.datetime], actor: str) -> str:
    """Log an alert and append its ledger row if an index is above `limit`; return the alert, empty if there is none.

    Raises Unavailable.
    """
    alert = drift_alert(drift, limit)
    if alert:
        figures = ledger_figures(drift)
        log.warning("drift", extra={"fields": {"version": drift.version, "reason": alert, **figures}})
        ledger.append(drift_row(clock(), actor, alert, drift.version, figures, drift.until))
    return alert


def comparable(profile: Profile) -> Profile:
    """Return a profile without the features that differ between any two periods."""
    features = {
        name: described
        for name, described in profile.features.items()
        if name not in _CLOCK and not name.endswith(_SINCE_FIRST)
    }
    return Profile(features, profile.score)


def read_traffic(source: DriftSource) -> Traffic:
    """Return the traffic of the period. Raises Unavailable."""
    sql = (
        "SELECT COUNT(*) AS row_count, COUNTIF(history_sequence IS NOT NULL) AS with_history, "  # noqa: S608 (names from settings)
        "COUNTIF(degraded) AS degraded, COUNTIF(late) AS late, COUNTIF(decision != 'APPROVE') AS alerts "
        f"FROM `{source.project}.{source.dataset}.score_events` "
        "WHERE initiated_at >= @since AND initiated_at < @until AND payer_ispb != @nobody"
    )
    [found] = source.queries.rows(sql, {"since": source.since, "until": source.until, "nobody": NOBODY})
    rows = found["row_count"]
    shares = {name: found[name] / max(rows, 1) for name in ("degraded", "late", "alerts")}
    return Traffic(rows, found["with_history"], **shares)


def sample_query(source: DriftSource, profile: Profile, rows: int, sample: int) -> str:
    """Return the GoogleSQL of about `sample` of the `rows` with history, the same rows at each call."""
    names = ", ".join(FEATURE_PREFIX + name for name in profile.features)
    return (
        f"SELECT model_version, score, {names} "  # noqa: S608 (names from settings and the profile)
        f"FROM `{source.project}.{source.dataset}.score_events` "
        f"WHERE initiated_at >= {timestamp(source.since)} AND initiated_at < {timestamp(source.until)} "
        f"AND history_sequence IS NOT NULL AND payer_ispb != '{NOBODY}' "
        f"AND MOD(FARM_FINGERPRINT(end_to_end_id), {-(-rows // sample)}) = 0"
    )


def compare(files: Sequence[Path], profile: Profile, version: str, rows_min: int) -> tuple[int, dict[str, float]]:
    """Return the number of rows in the files, and the index of each column; one column is in memory at a time."""
    sources = [pq.ParquetFile(file) for file in files]
    try:
        psi = {
            name: stability_index(described, _column(sources, FEATURE_PREFIX + name).round(DECIMALS))
            for name, described in profile.features.items()
        }
        own = np.concatenate([_texts(source, "model_version") for source in sources]) == version
        if np.count_nonzero(own) >= rows_min:
            # Stored scores differ from the profile's by rounding: without slack, ties at an edge would change bins.
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
    """Return the share of missing values, then of each bin."""
    counts = np.array(reference.counts or [0], dtype=np.float64)
    return np.concatenate([[reference.missing], counts / max(counts.sum(), 1) * (1 - reference.missing)])


def _observed(reference: ColumnProfile, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of missing values [n], then of those in each bin of the reference."""
    present = values[~np.isnan(values)]
    bins = np.searchsorted(reference.edges, present, side="left")  # a value at an edge belongs below it
    counts = np.bincount(bins, minlength=len(reference.edges) + 1)
    return np.concatenate([[len(values) - len(present)], counts]) / max(len(values), 1)


def _column(sources: Sequence[pq.ParquetFile], name: str) -> NDArray[np.float64]:
    parts = [source.read(columns=[name]).column(0).cast(pa.float64()).to_numpy() for source in sources]
    return np.concatenate(parts)


def _texts(source: pq.ParquetFile, name: str) -> NDArray[Any]:
    return np.asarray(source.read(columns=[name]).column(0).to_pylist(), dtype=object)


def drift_alert(drift: Drift, limit: float) -> str:
    """Return a sentence that names the indices above `limit`, an empty text if there are none.

    >>> at = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    >>> found = Drift("v1", at, at, 9, Traffic(9, 9, 0.0, 0.0, 0.0), {"amount": 0.31, "score": 0.1})
    >>> drift_alert(found, 0.25)
    'stability index above 0.25: amount 0.31'
    """
    above = drift.above(limit)
    if not above:
        return ""
    first = ", ".join(f"{name} {value:.2f}" for name, value in list(above.items())[:_LISTED])
    more = f" and {len(above) - _LISTED} more" if len(above) > _LISTED else ""
    return f"stability index above {limit:g}: {first}{more}"


def ledger_figures(drift: Drift) -> Mapping[str, float]:
    """Return the drift figures stored in the ledger."""
    shares = {name: getattr(drift.traffic, name) for name in ("degraded", "late", "alerts")}
    return {**{f"psi_{name}": value for name, value in list(drift.psi.items())[:_LISTED]}, **shares}
