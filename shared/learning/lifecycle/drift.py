"""Measure whether recent traffic still looks like that of the days before, and the score like after the swap.

Distributions are compared by the population stability index (PSI, `shared.learning.data.profile.stability_index`).

A feature has drifted if it moves further than its own habit from every day remembered (`windows`): its input is
broken, or the world has changed overnight. Slow changes do not alert; if they matter, they move the score. A drift of
features alerts a person, as a training on them could only learn the fault. A feature that the champion ignores alerts
nobody.

This is the alarm within hours, unweighted. `shared.learning.monitoring` weighs each whole day by the champion's
contributions of its inputs, and by publisher.

The score has drifted if it is far from each of the champion's first days: the model is used on another traffic than
the one after its swap, and the next automatic run trains.

Features of the clock are left out, since a day has one weekday.

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
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.profile import DECIMALS, OrderedColumn, Profile, column_profile, read_profile
from shared.learning.errors import NothingToDo
from shared.learning.lifecycle.ledger import DriftAction, monitored_row
from shared.learning.lifecycle.pointer import read_pointer
from shared.learning.lifecycle.windows import DriftWindow, Memory, object_name, read_memory, write_memory
from shared.learning.ports import Ledger
from shared.learning.specs.drift import DriftSpec
from shared.ports.blobs import Blobs
from shared.ports.tables import Queries, RowExports

log = logging.getLogger(__name__)

SCORE = "score"
SAMPLE = 100_000
ROWS_MIN = 1_000
CLOCK = frozenset({"hour", "weekday", "night"})
COMPARED = tuple(name for name in FEATURE_NAMES if name not in CLOCK)
_LISTED = 5  # features named in an alert and stored in the ledger


class Traffic(Struct, frozen=True):
    """The rows scored in a period, those scored with history, and shares between 0 and 1 of all rows.

    `alerts` is the share that the policy stops, whatever the control group made of it.
    """

    rows: int
    with_history: int
    degraded: float
    late: float
    alerts: float


class Drift(Struct, frozen=True):
    """How far the score and each feature have moved, and their limits, the largest share of its limit first.

    The score is left out of `psi` as long as there are no first days of the champion to compare with, a feature as
    long as no window has it. `limits` lacks features whose habit is not known yet.
    """

    version: str
    since: dt.datetime
    until: dt.datetime
    sampled: int
    traffic: Traffic
    psi: dict[str, float]
    limits: dict[str, float]

    ignored: list[str] = []
    """Features that the champion does not read, or makes nothing of."""

    def drifted(self) -> dict[str, float]:
        """Return the index of the features, and perhaps of the score, that are above their limits and count."""
        above = {name: value for name, value in self.psi.items() if value > self.limits.get(name, np.inf)}
        return {name: value for name, value in above.items() if name not in self.ignored}


class DriftSource(NamedTuple):
    """Table `score_events` of `dataset` in `project`, limited to Pix initiated from `since` to before `until`."""

    queries: Queries
    exports: RowExports
    project: str
    dataset: str
    since: dt.datetime
    until: dt.datetime


def champion_drift(
    source: DriftSource, models: Blobs, rows: Blobs, spec: DriftSpec, rows_min: int = ROWS_MIN
) -> Drift:
    """Measure a period, and remember it in the bucket of rows.

    Raises NothingToDo if no model serves or too few rows have history, BundleRefused, Unavailable.
    """
    version = read_pointer(models).version
    if version is None:
        raise NothingToDo("no model serves")
    name = object_name(source.until - source.since)
    memory = read_memory(rows, name)
    found, window = measure(source, version, memory, spec, rows_min)
    if not memory.windows or memory.windows[-1].until <= source.since:
        write_memory(rows, name, memory.with_window(window, spec))
    return msgspec.structs.replace(found, ignored=ignored(read_profile(models, version)))


def ignored(profile: Profile) -> list[str]:
    """Return the features compared that a champion makes nothing of; none of a bundle that does not tell.

    >>> from shared.learning.data.profile import ColumnProfile
    >>> ignored(Profile({}, ColumnProfile(0.0, [], [])))
    []
    """
    told = {name: column.effects for name, column in profile.features.items() if column.effects is not None}
    return [name for name in COMPARED if not any(told.get(name, ()))] if told else []


def measure(
    source: DriftSource,
    version: str,
    memory: Memory,
    spec: DriftSpec,
    rows_min: int = ROWS_MIN,
    sample: int = SAMPLE,
) -> tuple[Drift, DriftWindow]:
    """Compare recent rows with the memory, and return them as a window too. Raises NothingToDo, Unavailable."""
    traffic = read_traffic(source)
    if traffic.with_history < rows_min:
        raise NothingToDo(f"{traffic.with_history:,} of {rows_min:,} rows with history that measuring drift needs")
    with TemporaryDirectory(prefix="drift-") as folder:
        files = source.exports.export(sample_query(source, traffic.with_history, sample), Path(folder))
        columns = DriftColumns(files)
        try:
            return compare(columns, source, version, traffic, memory.before(source.since), spec, rows_min)
        finally:
            columns.close()


def compare(
    columns: DriftColumns,
    source: DriftSource,
    version: str,
    traffic: Traffic,
    memory: Memory,
    spec: DriftSpec,
    rows_min: int,
) -> tuple[Drift, DriftWindow]:
    """Return the drift of the rows against a memory, and their window; one column is in memory at a time."""
    profiles, moved, limits = {}, dict[str, float](), dict[str, float]()
    for name in COMPARED:
        values = columns.numbers(FEATURE_PREFIX + name).round(DECIMALS)
        profiles[name] = column_profile(values)
        movement, limit = memory.moved(name, OrderedColumn.of(values)), memory.limit(name, spec)
        if movement is not None:
            moved[name] = movement
            limits |= {} if limit is None else {name: limit}
    own = columns.texts("model_version") == version
    scores = columns.numbers(SCORE)[own] if np.count_nonzero(own) >= rows_min else None
    window = DriftWindow(
        source.since, source.until, version, profiles, moved, None if scores is None else column_profile(scores)
    )
    psi = dict(moved)
    if scores is not None and (movement := memory.score_moved(version, OrderedColumn.of(scores), spec)) is not None:
        psi[SCORE], limits[SCORE] = movement, spec.score_max
    farthest = sorted(psi, key=lambda name: -psi[name] / limits.get(name, np.inf))
    found = Drift(
        version, source.since, source.until, len(own), traffic, {name: psi[name] for name in farthest}, limits
    )
    return found, window


def record_drift(drift: Drift, ledger: Ledger, clock: Callable[[], dt.datetime], actor: str) -> list[str]:
    """Log an alert and append a ledger row for the score, and one for features; return the alerts.

    Only the row of the score, DRIFT, makes an automatic run train. Raises Unavailable.
    """
    drifted = drift.drifted()
    score = {name: value for name, value in drifted.items() if name == SCORE}
    features = {name: value for name, value in drifted.items() if name != SCORE}
    alerts, figures = [], ledger_figures(drift)
    actions: list[tuple[DriftAction, Mapping[str, float]]] = [("DRIFT", score), ("FEATURE_DRIFT", features)]
    for action, above in actions:
        if above:
            alerts.append(alert := drift_alert(above, drift.limits))
            log.warning("drift", extra={"fields": {"version": drift.version, "reason": alert, **figures}})
            ledger.append(monitored_row(action, clock(), actor, alert, drift.version, figures, drift.until))
    return alerts


def read_traffic(source: DriftSource) -> Traffic:
    """Return the traffic of the period. Raises Unavailable."""
    sql = (
        "SELECT COUNT(*) AS row_count, COUNTIF(history_sequence IS NOT NULL) AS with_history, "  # noqa: S608 (names from settings)
        "COUNTIF(degraded) AS degraded, COUNTIF(late) AS late, "
        "COUNTIF(COALESCE(policy_decision, decision) != 'APPROVE') AS alerts "
        f"FROM `{source.project}.{source.dataset}.score_events` "
        "WHERE initiated_at >= @since AND initiated_at < @until AND payer_ispb != @nobody"
    )
    [found] = source.queries.rows(sql, {"since": source.since, "until": source.until, "nobody": NOBODY})
    rows = found["row_count"]
    shares = {name: found[name] / max(rows, 1) for name in ("degraded", "late", "alerts")}
    return Traffic(rows, found["with_history"], **shares)


def sample_query(source: DriftSource, rows: int, sample: int) -> str:
    """Return the GoogleSQL of about `sample` of the `rows` with history, the same rows at each call."""
    names = ", ".join(FEATURE_PREFIX + name for name in COMPARED)
    return (
        f"SELECT model_version, score, {names} "  # noqa: S608 (names from settings and the catalogue)
        f"FROM `{source.project}.{source.dataset}.score_events` "
        f"WHERE initiated_at >= {timestamp(source.since)} AND initiated_at < {timestamp(source.until)} "
        f"AND history_sequence IS NOT NULL AND payer_ispb != '{NOBODY}' "
        f"AND MOD(FARM_FINGERPRINT(end_to_end_id), {-(-rows // sample)}) = 0"
    )


class DriftColumns:
    """The columns of exported files, read one at a time."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._sources = [pq.ParquetFile(file) for file in files]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column [n], NaN where missing."""
        parts = [source.read(columns=[name]).column(0).cast(pa.float64()).to_numpy() for source in self._sources]
        return np.concatenate(parts)

    def texts(self, name: str) -> NDArray[Any]:
        """Return a column of texts [n]."""
        parts = [source.read(columns=[name]).column(0).to_pylist() for source in self._sources]
        return np.array([text for part in parts for text in part], dtype=object)

    def close(self) -> None:
        """Close the files."""
        for source in self._sources:
            source.close()


def drift_alert(above: Mapping[str, float], limits: Mapping[str, float]) -> str:
    """Return a sentence that names indices above their limits.

    >>> drift_alert({"amount": 0.31}, {"amount": 0.12})
    'stability index above its limit: amount 0.31 (0.12)'
    """
    first = ", ".join(f"{name} {value:.2f} ({limits[name]:.2f})" for name, value in list(above.items())[:_LISTED])
    more = f" and {len(above) - _LISTED} more" if len(above) > _LISTED else ""
    return f"stability index above its limit: {first}{more}"


def ledger_figures(drift: Drift) -> Mapping[str, float]:
    """Return the drift figures stored in the ledger."""
    shares = {name: getattr(drift.traffic, name) for name in ("degraded", "late", "alerts")}
    return {**{f"psi_{name}": value for name, value in list(drift.psi.items())[:_LISTED]}, **shares}
