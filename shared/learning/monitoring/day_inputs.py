"""The counts of a day's inputs and scores, kept in the bucket of rows so that no day is read twice.

The bins of a feature never change: those of the first champion that had it are kept beside those of the one that
serves, so that days under different champions can be compared.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.errors import PreconditionFailed
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.profile import DECIMALS, Profile
from shared.learning.monitoring.health_sql import ONE_DAY
from shared.learning.monitoring.histogram import Histogram, summed
from shared.learning.monitoring.input_sql import AMOUNTS, CODES, Bins, InputSql, histograms
from shared.ports.blobs import Blobs
from shared.ports.tables import Queries

log = logging.getLogger(__name__)

FOLDER = "health/inputs"
PUBLISHERS = 20
"""Publishers with counts of their own, those with the most rows; the others are together."""
OTHERS = "others"
CLOCK = frozenset({"hour", "weekday", "night"})
"""Features that a day of the week moves; a fault of clocks shows in hour_habit and week_habit, and in the causes."""


class Cell(Struct, frozen=True):
    """Scores of a version in a part of the traffic: rows by bin of the score."""

    publisher: str
    side: str
    initiation_form: str
    band: int
    bins: list[int]

    @property
    def key(self) -> tuple[str, str, str, int]:
        """The mark that tells the part from others."""
        return self.publisher, self.side, self.initiation_form, self.band


class PublisherInputs(Struct, frozen=True):
    """The rows of a publisher, those with a code that the contract does not know by column, and its features."""

    rows: int
    other_codes: dict[str, int]
    features: dict[str, Histogram]


class DayInputs(Struct, frozen=True):
    """The inputs of a day by publisher (ISPB), and the scores of the version that was the champion."""

    day: dt.datetime
    version: str
    anchors: dict[str, list[float]]
    """The bins that every day has, by feature."""
    publishers: dict[str, PublisherInputs]
    cells: list[Cell]

    @property
    def rows(self) -> int:
        """The rows of all publishers."""
        return sum(each.rows for each in self.publishers.values())

    def everybody(self) -> dict[str, Histogram]:
        """Return the features of all publishers together."""
        return summed([each.features for each in self.publishers.values()])


def object_name(day: dt.datetime) -> str:
    """Return the name of the object with a day's counts.

    >>> object_name(dt.datetime(2026, 11, 20))
    'health/inputs/2026-11-20.json'
    """
    return f"{FOLDER}/{day:%Y-%m-%d}.json"


def read_day(blobs: Blobs, day: dt.datetime) -> DayInputs | None:
    """Return the counts of a day, None if there are none or they cannot be read. Raises Unavailable."""
    blob = blobs.read(object_name(day))
    try:
        return None if blob is None else msgspec.json.decode(blob.data, type=DayInputs)
    except msgspec.MsgspecError as error:
        log.warning("counts of a day are left out", extra={"fields": {"day": f"{day:%F}", "reason": str(error)}})
        return None


def keep_day(blobs: Blobs, inputs: DayInputs) -> None:
    """Store the counts of a day; those of another job stand. Raises Unavailable."""
    try:
        blobs.write(object_name(inputs.day), msgspec.json.encode(inputs), 0)
    except PreconditionFailed:
        log.warning("another job has the counts of this day", extra={"fields": {"day": f"{inputs.day:%F}"}})


def earlier(blobs: Blobs, day: dt.datetime, days: int) -> list[DayInputs]:
    """Return the counts of the days before one, oldest first. Raises Unavailable."""
    found = [read_day(blobs, day - back * ONE_DAY) for back in range(days, 0, -1)]
    return [each for each in found if each is not None]


def anchors_of(known: Sequence[DayInputs], profile: Profile) -> dict[str, list[float]]:
    """Return the bins to keep by feature: those of the latest day that has it, else those of the profile."""
    own = {name: list(column.edges) for name, column in profile.features.items() if name in FEATURE_NAMES}
    for each in known:
        own |= each.anchors
    return {name: edges for name, edges in own.items() if name not in CLOCK}


def bins_of(anchors: Bins, profile: Profile) -> dict[str, list[float]]:
    """Return the bins to count: those kept, and those of the champion."""
    edges = {name: column.edges for name, column in profile.features.items()}
    return {name: sorted({*own, *edges.get(name, ())}) for name, own in anchors.items()}


def ask_day(
    queries: Queries, sql: InputSql, day: dt.datetime, version: str, profile: Profile, anchors: Bins
) -> DayInputs:
    """Count the inputs of a day in BigQuery. Raises Unavailable, Misconfigured."""
    bins = bins_of(anchors, profile)
    features: dict[str, dict[str, Histogram]] = {}
    for names, text in sql.features(day, bins):
        for row in queries.rows(text, {}):
            features.setdefault(row["publisher"], {}).update(histograms(row, names, bins))
    codes = {row["publisher"]: row for row in queries.rows(sql.codes(day), {})}
    found = {
        name: PublisherInputs(
            codes[name]["rows"], {code: codes[name][code] for code in CODES if codes[name][code]}, own
        )
        for name, own in features.items()
        if name in codes
    }
    cells = _cells(queries.rows(sql.scores(day, version, profile.score.edges), {}), len(profile.score.edges) + 1)
    return DayInputs(day, version, {name: list(edges) for name, edges in anchors.items()}, _largest(found), cells)


def count_day(
    day: dt.datetime,
    version: str,
    profile: Profile,
    anchors: Bins,
    features: NDArray[np.float32],
    publishers: Sequence[str],
    scores: NDArray[np.float64],
    amounts: NDArray[np.float64],
    forms: Sequence[str],
) -> DayInputs:
    """Count rows in memory as `ask_day` does in BigQuery: features [n, len(FEATURE_NAMES)], all else [n].

    All of them are the payer's side, with codes of the contract.
    """
    bins, names = bins_of(anchors, profile), np.asarray(publishers)
    found = {
        publisher: PublisherInputs(
            int((names == publisher).sum()), {}, _histograms(features[names == publisher], bins)
        )
        for publisher in dict.fromkeys(publishers)
    }
    edges = profile.score.edges
    band, bin_ = np.searchsorted(AMOUNTS, amounts), np.searchsorted(edges, scores)
    rows = [
        {"publisher": one, "side": "PAYER", "initiation_form": form, "band": int(a), "bin": int(b), "rows": 1}
        for one, form, a, b in zip(publishers, forms, band, bin_, strict=True)
    ]
    kept = {name: list(own) for name, own in anchors.items()}
    return DayInputs(day, version, kept, _largest(found), _cells(rows, len(edges) + 1))


def _histograms(features: NDArray[np.float32], bins: Bins) -> dict[str, Histogram]:
    found = {}
    for name, edges in bins.items():
        column = features[:, FEATURE_NAMES.index(name)].astype(np.float64).round(DECIMALS)
        present = column[~np.isnan(column)]
        places = np.bincount(np.searchsorted(np.asarray(edges), present, side="left"), minlength=len(edges) + 1)
        found[name] = Histogram(list(edges), len(column) - len(present), places.tolist())
    return found


def _cells(rows: Sequence[Mapping[str, Any]], bins: int) -> list[Cell]:
    found: dict[tuple[str, str, str, int], list[int]] = {}
    for row in rows:
        key = (row["publisher"], row["side"], row["initiation_form"], row["band"])
        found.setdefault(key, [0] * bins)[row["bin"]] += row["rows"]
    return [Cell(*key, counts) for key, counts in sorted(found.items())]


def _largest(found: Mapping[str, PublisherInputs]) -> dict[str, PublisherInputs]:
    """Return the publishers with the most rows by name, and the others as one."""
    order = sorted(found, key=lambda name: (-found[name].rows, name))
    kept = {name: found[name] for name in order[:PUBLISHERS]}
    if rest := [found[name] for name in order[PUBLISHERS:]]:
        codes = {code: sum(each.other_codes.get(code, 0) for each in rest) for code in CODES}
        features = summed([each.features for each in rest])
        kept[OTHERS] = PublisherInputs(
            sum(each.rows for each in rest), {code: count for code, count in codes.items() if count}, features
        )
    return kept
