"""The GoogleSQL that counts a day's inputs and scores by bin: rows stay where they are.

A column of a feature is read once. Each query has the counts of CHUNK features, some ten a feature: a query of all
would have more columns of its result than are planned quickly.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct

from shared.contract.fields import NOBODY
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.tables import timestamp
from shared.learning.data.profile import DECIMALS
from shared.learning.monitoring.health_sql import ONE_DAY
from shared.learning.monitoring.histogram import Histogram

CHUNK = 64
"""Features of a query."""
CODES = ("initiation_form", "purpose", "payer_account_type", "payee_account_type", "payee_key_type")
"""Columns whose code OTHER stands for one that the contract does not know."""
AMOUNTS = (50.0, 200.0, 1_000.0, 5_000.0)
"""Upper ends in BRL of the bands of amounts, by which the mix of traffic is told."""
_PUBLISHER = "IF(side = 'PAYEE', payee_ispb, payer_ispb)"
Bins = Mapping[str, Sequence[float]]
"""Edges by feature."""


class InputSql(Struct, frozen=True):
    """The queries about dataset `dataset` of `project`."""

    project: str
    dataset: str

    def features(self, day: dt.datetime, bins: Bins) -> Iterator[tuple[list[str], str]]:
        """Yield features and the query of their counts on a day, by publisher; see `histograms`."""
        names = list(bins)
        for start in range(0, len(names), CHUNK):
            chunk = names[start : start + CHUNK]
            counts = ", ".join(_counts(number, name, bins[name]) for number, name in enumerate(chunk))
            yield chunk, f"SELECT {_PUBLISHER} AS publisher, {counts} {self._scored(day)} GROUP BY publisher"

    def codes(self, day: dt.datetime) -> str:
        """Return the query of the rows of a day, and of those with a code that the contract does not know."""
        counts = ", ".join(f"COUNTIF({name} = 'OTHER') AS {name}" for name in CODES)
        return (
            f"SELECT {_PUBLISHER} AS publisher, COUNT(*) AS `rows`, {counts} {self._scored(day)} GROUP BY publisher"
        )

    def scores(self, day: dt.datetime, version: str, edges: Sequence[float]) -> str:
        """Return the query of the scores of a version on a day by bin, in each cell of the traffic."""
        band = _band("CAST(amount AS FLOAT64)", AMOUNTS)
        return (
            f"SELECT {_PUBLISHER} AS publisher, COALESCE(side, 'PAYER') AS side, initiation_form, {band} AS band, "
            f"{_band('score', edges)} AS bin, COUNT(*) AS `rows` {self._scored(day)} "
            f"AND score IS NOT NULL AND model_version = '{version}' "
            "GROUP BY publisher, side, initiation_form, band, bin"
        )

    def _scored(self, day: dt.datetime) -> str:
        """Return the rows of a day whose features are whole; those without history are `degraded` already."""
        return (
            f"FROM `{self.project}.{self.dataset}.score_events` "
            f"WHERE initiated_at >= {timestamp(day)} AND initiated_at < {timestamp(day + ONE_DAY)} "
            f"AND history_sequence IS NOT NULL AND payer_ispb != '{NOBODY}'"
        )


def histograms(row: Mapping[str, Any], names: Sequence[str], bins: Bins) -> dict[str, Histogram]:
    """Return the histograms of a row of `InputSql.features` by feature."""
    found = {}
    for number, name in enumerate(names):
        edges, missing, known = list(bins[name]), row[f"n{number}"], row[f"k{number}"]
        below = [0, *(row[f"c{number}_{place}"] for place in range(len(edges))), known]
        counts = [after - before for before, after in pairwise(below)]
        found[name] = Histogram(edges, missing, counts)
    return found


def _counts(number: int, name: str, edges: Sequence[float]) -> str:
    """Return the counts of a feature: rows without it, rows with it, and those up to each edge."""
    column = FEATURE_PREFIX + name
    counts = [f"COUNTIF({column} IS NULL) AS n{number}", f"COUNT({column}) AS k{number}"]
    counts += [
        f"COUNTIF(ROUND({column}, {DECIMALS}) <= {_number(edge)}) AS c{number}_{place}"
        for place, edge in enumerate(edges)
    ]
    return ", ".join(counts)


def _band(expression: str, edges: Sequence[float]) -> str:
    """Return the number of the bin of an expression; an edge belongs below it."""
    cases = " ".join(f"WHEN {expression} <= {_number(edge)} THEN {place}" for place, edge in enumerate(edges))
    return f"CASE {cases} ELSE {len(edges)} END" if cases else "0"


def _number(value: float) -> str:
    """Return a FLOAT64 in GoogleSQL, to the last bit."""
    return f"CAST({value!r} AS FLOAT64)"
