"""The closed reports on later hops, beside the taint served for their Pix, and the taint of legitimate Pix."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.contract.end_to_end_id import minute_of
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.tables import query
from shared.learning.judging.taint import TAINTS, THRESHOLDS, HopLabels, Legitimate
from shared.ports.tables import Queries

ROWS_MAX = 200_000


class HopSource:
    """The reports in `dataset` of `project` on Pix initiated from `since` on; `maturity_days` is that of verdicts."""

    def __init__(
        self, queries: Queries, project: str, dataset: str, maturity_days: float, since: dt.datetime
    ) -> None:
        self._queries = queries
        self._sql = HopSql(project, dataset, maturity_days)
        self._given = {"since": since}

    def labels(self) -> HopLabels:
        """Return the closed reports, the latest Pix first if they are too many. Raises Unavailable."""
        rows = self._queries.rows(self._sql.labels(), self._given)
        aged = [(row, age) for row in rows if (age := _age(row)) is not None]
        taint = [[_number(row[FEATURE_PREFIX + name]) for name in TAINTS] for row, _ in aged]
        return HopLabels(
            np.array([row["hop"] for row, _ in aged], dtype=np.int64),
            np.array([row["fraud"] for row, _ in aged], dtype=np.bool_),
            np.array([age for _, age in aged], dtype=np.float64),
            np.array(taint, dtype=np.float64).reshape(-1, len(TAINTS)),
        )

    def legitimate(self) -> Legitimate:
        """Return the counts of legitimate Pix. Raises Unavailable."""
        [row] = self._queries.rows(self._sql.legitimate(), self._given)
        flagged = [[row[f"{name}_{number}"] for number in range(len(THRESHOLDS))] for name in TAINTS]
        return Legitimate(row["pix"], np.array(flagged, dtype=np.int64))


class HopSql:
    """The GoogleSQL about hops in `dataset` of `project`, for Pix from @since on."""

    def __init__(self, project: str, dataset: str, maturity_days: float) -> None:
        self._place = f"{project}.{dataset}"
        self._labels, self._examples = (
            query(name, project, dataset, maturity_days, "CURRENT_TIMESTAMP()")
            for name in ("labels", "training_examples")
        )

    def labels(self) -> str:
        """Return the query of closed reports on later hops: one row a Pix, whichever side published it."""
        taints = ", ".join(f"scored.{FEATURE_PREFIX}{name}" for name in TAINTS)
        return (
            f"SELECT scored.end_to_end_id, scored.initiated_at, roots.root, labels.hop, "  # noqa: S608 (names of our own)
            f"labels.verdict = 'FRAUD' AS fraud, {taints} "
            f"FROM `{self._place}.score_events` AS scored JOIN ({self._labels}) AS labels "
            "ON labels.end_to_end_id = scored.end_to_end_id AND labels.side = COALESCE(scored.side, 'PAYER') "
            f"JOIN ({self._roots()}) AS roots ON roots.end_to_end_id = scored.end_to_end_id "
            "WHERE scored.initiated_at >= @since AND scored.history_sequence IS NOT NULL "
            "AND labels.hop >= 2 AND labels.verdict_source IN ('AGREED', 'DISAGREED') "
            "AND labels.verdict != 'UNKNOWN' "
            "QUALIFY ROW_NUMBER() OVER (PARTITION BY scored.end_to_end_id "
            "ORDER BY labels.side DESC, scored.scored_at, scored.history_sequence) = 1 "
            f"ORDER BY scored.initiated_at DESC LIMIT {ROWS_MAX}"
        )

    def legitimate(self) -> str:
        """Return the query of legitimate Pix that settled: all, and those at each threshold of each taint."""
        counts = ", ".join(
            f"COUNTIF({FEATURE_PREFIX}{name} >= {threshold}) AS {name}_{number}"
            for name in TAINTS
            for number, threshold in enumerate(THRESHOLDS)
        )
        return (
            f"SELECT COUNT(*) AS pix, {counts} FROM ({self._examples}) AS examples "  # noqa: S608 (names of our own)
            "WHERE verdict = 'LEGITIMATE' AND settled AND side = 'PAYER' AND initiated_at >= @since"
        )

    def _roots(self) -> str:
        return (
            f"SELECT end_to_end_id, MIN(root_end_to_end_id) AS root FROM `{self._place}.feedback` "  # noqa: S608 (names of our own)
            "WHERE source = 'MED' AND hop >= 2 AND root_end_to_end_id IS NOT NULL GROUP BY end_to_end_id"
        )


def _age(row: Mapping[str, Any]) -> float | None:
    """Return the seconds since the root, by the minute in its id: it may be a Pix of another institution."""
    root = minute_of(row["root"])
    return None if root is None else max((row["initiated_at"] - root).total_seconds(), 0.0)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
