"""Drift on days on which nothing happens, and on days with a planted fault, through the product's own measurement."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.adapters.memory.learning import MemoryExports, MemoryQueries
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract.event import EPOCH
from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.profile import ColumnProfile, Profile
from shared.learning.data.split import DAY
from shared.learning.lifecycle.drift import SCORE, Drift, DriftSource, champion_drift
from shared.learning.specs.drift import DriftSpec
from shared.scoring.bundle import MANIFEST, POINTER, Manifest, Pointer, digest, path

ONE_DAY = dt.timedelta(days=1)
ROWS_MIN = 200
"""Of the job it is 1,000; a world of 900 days has 390 Pix a day."""

Score = Callable[[NDArray[np.float32]], NDArray[np.float64]]
Fault = Callable[[NDArray[np.float32]], None]


class DriftFigures(NamedTuple):
    """Quiet days, the alerts on features and on the score among them, and whether each planted fault was found."""

    days: int
    features: list[str]
    score: int
    found: dict[str, bool]


class Traffic:
    """The Pix of a stream, day by day, scored by one champion; its memory grows with each day measured."""

    def __init__(
        self, features: NDArray[np.float32], initiated_at: NDArray[np.int64], score: Score, spec: DriftSpec
    ) -> None:
        self._features, self._at, self._score, self._spec = features, initiated_at, score, spec
        self._start = int(initiated_at[0]) // DAY * DAY
        self._models, self._rows = MemoryBlobs(), MemoryBlobs()
        self._models.write(POINTER, msgspec.json.encode(Pointer("v1", EPOCH.isoformat())), 0)
        untold = Profile({}, ColumnProfile(0.0, [], []))
        profile = msgspec.json.encode(untold)
        manifest = Manifest("v1", EPOCH.isoformat(), {"profile.json": digest(profile)})
        for name, data in (("profile.json", profile), (MANIFEST, msgspec.json.encode(manifest))):
            self._models.write(path("v1", name), data, 0)
        self.days = int((initiated_at[-1] - self._start) // DAY)

    def measured(self, day: int, fault: Fault | None = None) -> Drift:
        """Measure a day, perhaps with a fault in its features."""
        begin = self._start + day * DAY
        rows = slice(*np.searchsorted(self._at, [begin, begin + DAY]).tolist())
        features = self._features[rows].copy()
        if fault:
            fault(features)
        columns = {FEATURE_PREFIX + name: features[:, j].astype(float) for j, name in enumerate(FEATURE_NAMES)}
        table = pa.table({"model_version": ["v1"] * len(features), SCORE: self._score(features), **columns})
        counts = {"row_count": len(features), "with_history": len(features), "degraded": 0, "late": 0, "alerts": 0}
        since = EPOCH + dt.timedelta(microseconds=begin)
        source = DriftSource(
            MemoryQueries(lambda *_: [counts]), MemoryExports(table), "p", "pix", since, since + ONE_DAY
        )
        return champion_drift(source, self._models, self._rows, self._spec, ROWS_MIN)


def _column(name: str) -> int:
    return FEATURE_NAMES.index(name)


def _in_centavos(features: NDArray[np.float32]) -> None:
    features[:, _column("amount")] *= 100


def _a_third_missing(features: NDArray[np.float32]) -> None:
    features[::3, _column("payer_account_age")] = np.nan


def _no_device(features: NDArray[np.float32]) -> None:
    features[:, [j for j, name in enumerate(FEATURE_NAMES) if name.startswith("device_")]] = np.nan


FAULTS: Mapping[str, tuple[str, Fault]] = {
    "amounts in centavos": ("amount", _in_centavos),
    "a third of payer_account_age missing": ("payer_account_age", _a_third_missing),
    "no device in any message": ("device_", _no_device),
}
"""Faults by title: how the names of the features begin of which at least one must alert, and the fault."""


def figures(traffic: Traffic, first: int) -> DriftFigures:
    """Measure every day; count alerts from day `first` on, then plant each fault in the last day."""
    alerts, score = list[str](), 0
    for day in range(max(0, first - 63), traffic.days):
        drifted = traffic.measured(day).drifted()
        names = [name for name in drifted if name != SCORE]
        if day >= first:
            score += SCORE in drifted
            alerts += [f"day {day}: {', '.join(names[:3])}"] if names else []
    found = {title: _alerts(traffic, start, fault) for title, (start, fault) in FAULTS.items()}
    return DriftFigures(traffic.days - first, alerts, score, found)


def _alerts(traffic: Traffic, start: str, fault: Fault) -> bool:
    drifted = traffic.measured(traffic.days - 1, fault).drifted()
    return any(name.startswith(start) for name in drifted)
