"""`shared.ports.decisions.AskedLookup` in `pix.score_events` and `pix.outcomes`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from google.cloud import bigquery

from shared.adapters.bigquery.in_time import QueriesInTime
from shared.adapters.bigquery.lookup import found_where
from shared.contract.event import Event, micros
from shared.contract.stored import stored
from shared.contract.tables import counted, timestamp, told
from shared.features.outcomes import Outcome
from shared.features.rebuilding import IMPLIED_COLUMNS, Asked

_FACTS = (
    *("end_to_end_id", "initiated_at", "amount", "payer_id", "payer_person_id", "payee_id", "payee_person_id"),
    *("device_id", "device_registered", "payer_kind", "payee_kind", "night_from", "purpose"),
)
_BLANK = dict.fromkeys(("initiation_form", "purpose", "payer_person_id", "payer_ispb", "payee_ispb"), "")
"""Required fields of Event that no life depends on, or of which rows of former revisions lack a value."""
_EARLY = dt.timedelta(days=1)
"""How much earlier than its Pix an outcome may be dated, as clocks differ; the partitions before are not read."""
_SCORED = (
    *_FACTS,
    *("side", "scored_at", "decision", "history_sequence", "decided_sequence"),
    *IMPLIED_COLUMNS,
)


class BigQueryAsked:
    """Scored Pix and their outcomes, by three queries for each batch of ids, by one if none is known."""

    def __init__(
        self, client: bigquery.Client, project: str, dataset: str, seconds: float, hmac_key: str | None = None
    ) -> None:
        """Wait at most `seconds` for an answer. Ids are under the HMAC key with the fingerprint `hmac_key`."""
        self._hmac_key = hmac_key
        self._queries = QueriesInTime(client, "scored transactions", seconds)
        self._project, self._dataset = project, dataset

    async def asked(self, end_to_end_ids: Collection[str]) -> Mapping[str, Asked]:
        """Return each Pix that was scored, with its outcomes so far. Raises Unavailable."""
        if not end_to_end_ids:
            return {}
        return await self._queries.run(4, self._asked, sorted(set(end_to_end_ids)))

    def _asked(self, ids: list[str]) -> Mapping[str, Asked]:
        # Most are asked for because their outcome came first; that they are unknown is found at little cost.
        known = self._queries.rows_of(known_statement(self._project, self._dataset, ids), ids)
        ids = sorted(row["end_to_end_id"] for row in known)
        if not ids:
            return {}
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self._queries.rows_of(scored_statement(self._project, self._dataset, ids, self._hmac_key), ids):
            found.setdefault(row["end_to_end_id"], []).append(row)
        since = min(rows[0]["initiated_at"] for rows in found.values()) - _EARLY
        outcomes: dict[str, list[dict[str, Any]]] = {}
        for row in self._queries.rows_of(outcomes_statement(self._project, self._dataset, since), list(found)):
            outcomes.setdefault(row["end_to_end_id"], []).append(row)
        return {id_: asked_of(rows, outcomes.get(id_, ())) for id_, rows in found.items()}


def known_statement(project: str, dataset: str, ids: Iterable[str]) -> str:
    """Return the GoogleSQL of those Pix of @ids that have a row."""
    return f"SELECT DISTINCT end_to_end_id FROM `{project}.{dataset}.score_events` WHERE {found_where(ids)}"  # noqa: S608 (names and dates of our own)


def scored_statement(project: str, dataset: str, ids: Iterable[str], hmac_key: str | None = None) -> str:
    """Return the GoogleSQL that finds a row of each side of the Pix @ids, the one that history counted first."""
    which = found_where(ids)
    rows = counted(project, dataset, _SCORED, f"`{project}.{dataset}.score_events` WHERE {which}", which, hmac_key)
    return (
        f"SELECT {', '.join(_SCORED)} FROM ({rows}) AS counted WHERE TRUE "  # noqa: S608 (names and dates of our own)
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY end_to_end_id, side "
        "ORDER BY history_sequence IS NULL, filled, scored_at, history_sequence) = 1 "
        "ORDER BY end_to_end_id, history_sequence IS NULL, turn, scored_at"
    )


def outcomes_statement(project: str, dataset: str, since: dt.datetime) -> str:
    """Return the GoogleSQL that finds the outcomes of the Pix @ids since a moment, in the order of their arrival."""
    which = f"end_to_end_id IN UNNEST(@ids) AND `at` >= {timestamp(since)}"
    return (
        "SELECT end_to_end_id, status, `at`, return_id, amount, history_sequence "  # noqa: S608 (names of our own)
        f"FROM ({told(project, dataset, which)}) AS told ORDER BY received_at, history_sequence"
    )


def asked_of(rows: list[dict[str, Any]], outcomes: Iterable[dict[str, Any]]) -> Asked:
    """Return a Pix from the rows of its sides, the first one first, and of its outcomes."""
    first = rows[0]
    return Asked(
        event=_event(first),
        scored_at=micros(first["scored_at"]),
        place=first["history_sequence"],
        implied=tuple(first[name] for name in IMPLIED_COLUMNS),
        decisions=tuple((row["side"], row["decision"] == "APPROVE", row["decided_sequence"]) for row in rows),
        outcomes=tuple((_outcome(row), row["history_sequence"]) for row in outcomes),
    )


def _event(row: dict[str, Any]) -> Event:
    return stored(Event, "score_events", _BLANK | {name: value for name, value in row.items() if value is not None})


def _outcome(row: dict[str, Any]) -> Outcome:
    amount = row["amount"]
    return Outcome(row["status"], micros(row["at"]), row["return_id"], round(amount * 100) if amount else 0)
