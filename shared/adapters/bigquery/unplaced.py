"""`shared.ports.places.UnplacedRows` by queries that read few bytes where nothing is missing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

from shared.contract.event import Event, micros
from shared.contract.mapping import REPORT_IDS
from shared.contract.rows import FeedbackRow, OutcomeRow
from shared.contract.stored import stored
from shared.contract.tables import counted, ends, every_under_key, first_of, kept_places, lost, placed
from shared.features.rebuilding import IMPLIED_COLUMNS
from shared.ports.history import Claim
from shared.ports.places import Unplaced, UnplacedPeriod
from shared.ports.tables import Parameter, Queries

_DAY = dt.timedelta(days=1)
_CLAIM = ("scored_at", "model_version", "hmac_key_version", "decision")
_NUMBER = "given_sequence"
"""The place of a row as it was stored, also if history has lost it: the view goes by it."""
_DELIVERY = ("published_at", "delivery_attempt", "claim_number", f"history_sequence AS {_NUMBER}")
_DATED = ("initiated_at", "scored_at")
_ORDER = "scored_at, end_to_end_id, side"
_WINDOW = "initiated_at >= @since AND scored_at < @until"


class BigQueryUnplaced:
    """Rows of the dataset whose places are to be found.

    First a query reads only times and places, and gives the days with such rows. The other columns are read of those
    days alone, and of outcomes and reports only if there are fills or lost places.
    """

    def __init__(self, queries: Queries, project: str, dataset: str, hmac_key: str | None = None) -> None:
        """Ids are under the HMAC key with the fingerprint `hmac_key`."""
        self._queries = queries
        self._sql = UnplacedSql(project, dataset, hmac_key)

    def scores(self, window: UnplacedPeriod, after: Unplaced | None, limit: int) -> list[Unplaced]:
        """Return decisions in the order of scoring, those after `after`. Raises Unavailable, Misconfigured."""
        parameters = _parameters(window)
        lacking = [row["day"] for row in self._queries.rows(self._sql.lacking(), parameters)]
        days = [row["day"] for row in self._queries.rows(self._sql.pending(lacking), parameters)] if lacking else []
        if not days:
            return []
        if after is None:
            return [_unplaced(row) for row in self._queries.rows(self._sql.scores(days, limit), parameters)]
        parameters["scored_at"] = _instant(after.claim.scored_at)
        parameters["id"], parameters["side"] = after.event.end_to_end_id, after.event.side
        rows = self._queries.rows(self._sql.scores(days, limit, follow=True), parameters)
        return [_unplaced(row) for row in rows]

    def outcomes(self, window: UnplacedPeriod) -> list[OutcomeRow]:
        """Return outcomes in the order in which they were first received. Raises Unavailable, Misconfigured."""
        if not self._any(window):
            return []
        rows = self._queries.rows(self._sql.outcomes(), {"since": window.since})
        return [stored(OutcomeRow, "outcomes", row) for row in rows]

    def reports(self, window: UnplacedPeriod) -> list[FeedbackRow]:
        """Return reports in the order in which they were first received. Raises Unavailable, Misconfigured."""
        if not self._any(window, "lost"):
            return []
        rows = self._queries.rows(self._sql.reports(), {"since": window.since})
        return [stored(FeedbackRow, "feedback", row) for row in rows]

    def _any(self, window: UnplacedPeriod, *kinds: str) -> bool:
        (found,) = self._queries.rows(self._sql.reasons(), {"since": window.since})
        return any(found[kind] for kind in kinds or found)


class UnplacedSql:
    """The GoogleSQL of rows without places, with the parameters @since and @until of a window."""

    def __init__(self, project: str, dataset: str, hmac_key: str | None = None) -> None:
        self._project, self._dataset, self._hmac_key = project, dataset, hmac_key
        self._place = f"{project}.{dataset}"

    def lacking(self) -> str:
        """Return the query of the days of rows that lack a place, filled or not."""
        return (
            "SELECT DISTINCT TIMESTAMP_TRUNC(initiated_at, DAY) AS day "  # noqa: S608 (names of our own)
            f"FROM ({placed(self._project, self._dataset, _DATED, self._scored(_WINDOW))}) AS placed WHERE lacking"
        )

    def pending(self, days: Sequence[dt.datetime]) -> str:
        """Return the query of those of some days of which rows lack a place and are not filled."""
        return (
            "SELECT DISTINCT TIMESTAMP_TRUNC(initiated_at, DAY) AS day "  # noqa: S608 (names of our own)
            f"FROM ({self._counted(days, _DATED)}) AS counted WHERE place_pending ORDER BY day"
        )

    def scores(self, days: Sequence[dt.datetime], limit: int, follow: bool = False) -> str:
        """Return the query of rows of some days, the first one of each Pix and side, by default from the start."""
        names = *Event.__struct_fields__, *_CLAIM, *IMPLIED_COLUMNS
        columns = ", ".join("COALESCE(side, 'PAYER') AS side" if name == "side" else name for name in names)
        after = (
            "WHERE scored_at > @scored_at OR (scored_at = @scored_at AND "
            "(end_to_end_id > @id OR (end_to_end_id = @id AND side > @side)))"
        )
        every_side = (
            "(SELECT *, MAX(history_sequence) OVER (PARTITION BY end_to_end_id) IS NOT NULL AS pix_counted "  # noqa: S608 (names of our own)
            f"FROM ({self._counted(days, (*names, *_DELIVERY))}) AS counted) AS every_side"
        )
        return (
            f"SELECT * FROM (SELECT {columns}, IF(history_sequence IS NULL, pix_counted, part_lost) AS is_counted, "  # noqa: S608 (names of our own)
            f"history_sequence IS NULL AND {_NUMBER} IS NOT NULL AND ARRAY_LENGTH(visited) > 0 AS is_lost "
            f"FROM ({first_of(every_side, _NUMBER, 'place_pending')}) AS first) AS pending "
            f"{after if follow else ''} ORDER BY {_ORDER} LIMIT {limit}"
        )

    def reasons(self) -> str:
        """Return the query of the number of fills, and of epochs with lost places."""
        return (
            f"SELECT (SELECT COUNT(*) FROM `{self._place}.fills` WHERE initiated_at >= @since) AS fills, "  # noqa: S608 (names of our own)
            f"(SELECT COUNT(*) FROM `{self._place}.lost_places`) AS lost"
        )

    def outcomes(self) -> str:
        """Return the query of outcomes to be counted again.

        Their place is lost, or they have none although their Pix was filled later. Clocks differ, so an outcome that
        was received within a minute after the fill is told once more.
        """
        fills = (
            f"SELECT end_to_end_id, MAX(filled_at) AS filled_at FROM `{self._place}.fills` "  # noqa: S608 (names of our own)
            "WHERE initiated_at >= @since GROUP BY end_to_end_id"
        )
        of_history = "`at` >= @since AND NOT COALESCE(place_pending, FALSE)"  # others are late, and counted as such
        told = self._told("outcomes", "end_to_end_id, status, `at`, return_id", of_history)
        return (
            f"SELECT told.* FROM ({told}) AS told LEFT JOIN ({fills}) AS fill "  # noqa: S608 (names of our own)
            "ON fill.end_to_end_id = told.end_to_end_id WHERE told.history_sequence IS NOT NULL "
            "OR fill.filled_at >= TIMESTAMP_SUB(told.received_at, INTERVAL 60 SECOND) "
            "ORDER BY told.first_at, told.`at`"
        )

    def reports(self) -> str:
        """Return the query of reports whose place is lost."""
        same = "source, report_id, end_to_end_id, infraction_report_id, reported_at, status, verdict, state_hash"
        told = self._told("feedback", same, "received_at >= @since", every_under_key(REPORT_IDS, self._hmac_key))
        return f"SELECT * FROM ({told}) AS told WHERE history_sequence IS NOT NULL ORDER BY first_at, reported_at"  # noqa: S608 (names of our own)

    def _told(self, table: str, same: str, which: str, columns: str = "*") -> str:
        """Return the query of the last row of each statement without a place: if it names one, that is lost.

        Rows with equal columns `same` say the same. One that only another shard has lost is told again once after the
        loss was noted: one that its home has forgotten stays without.
        """
        every = f"OVER (PARTITION BY {same})"
        home = "MOD(history_sequence, 67108864) <= COALESCE(kept, history_sequence)"
        noted = f"(SELECT MAX(noted_at) AS noted_at FROM `{self._place}.lost_places`)"  # noqa: S608 (names of our own)
        source = (
            f"SELECT known.*, ARRAY_LENGTH({kept_places('visited')}) = ARRAY_LENGTH(known.visited) AS whole "  # noqa: S608 (names of our own)
            f", noted_at FROM (SELECT {columns} FROM `{self._place}.{table}`) AS known "
            f"CROSS JOIN ({ends(self._project, self._dataset)}) AS gone CROSS JOIN {noted} AS noted"
        )
        return (
            f"SELECT said.*, MIN(received_at) {every} AS first_at FROM ({source}) AS said "  # noqa: S608 (names of our own)
            f"LEFT JOIN ({lost(self._project, self._dataset)}) AS lost "
            f"ON lost.part = DIV(said.history_sequence, 67108864) WHERE {which} "
            f"QUALIFY COUNT(IF({home} AND whole, 1, NULL)) {every} = 0 "
            f"AND (NOT COALESCE({home}, FALSE) OR received_at < noted_at) "
            f"AND ROW_NUMBER() OVER (PARTITION BY {same} ORDER BY received_at DESC) = 1"
        )

    def _counted(self, days: Sequence[dt.datetime], columns: Sequence[str]) -> str:
        within = " OR ".join(f"(initiated_at >= {each} AND initiated_at < {until})" for each, until in _bounds(days))
        source = self._scored(f"{_WINDOW} AND ({within})")
        return counted(self._project, self._dataset, columns, source, within, self._hmac_key)

    def _scored(self, where: str) -> str:
        return f"`{self._place}.score_events` WHERE {where}"


def _bounds(days: Sequence[dt.datetime]) -> Iterator[tuple[str, str]]:
    for day in days:
        yield f"TIMESTAMP '{day:%Y-%m-%d}'", f"TIMESTAMP '{day + _DAY:%Y-%m-%d}'"


def _parameters(window: UnplacedPeriod) -> dict[str, Parameter]:
    return {"since": window.since, "until": window.until}


def _instant(at: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=at)


def _unplaced(row: dict[str, Any]) -> Unplaced:
    claim = Claim(row["model_version"], micros(row["scored_at"]), row["hmac_key_version"])
    implied = tuple(row[name] for name in IMPLIED_COLUMNS) if row["is_lost"] else None
    return Unplaced(stored(Event, "score_events", row), row["decision"], claim, row["is_counted"], implied)
