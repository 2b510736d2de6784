"""Pix that are asked for, decided, settled, returned and judged in memory, and the rows that tell it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.memory.serving import MemoryLookup
from shared.contract.event import Event
from shared.contract.rows import OutcomeRow, ScoreRow
from shared.contract.tables import table
from shared.features.columns import Events
from shared.features.shards import ONLY, Shard
from shared.features.vector import feature_matrix
from shared.ports.decisions import Parties
from shared.ports.history import UNPLACED, Claim
from shared.replay.arrow_rows import arrow_table
from shared.replay.changes import ASK_COLUMNS, DECIDED
from shared.replay.reported import Reported
from shared.scoring.conclusions import Conclusions
from shared.serving.outcome_service import CountedOutcomes
from shared.serving.verdict_history import VerdictHistory
from tests.unit.replay.rows import score_row
from tests.unit.report_states import row

SECOND = 1_000_000
NEVER_FORGOTTEN = math.inf
"""Seconds for which the history of these tests keeps a life."""


class Told(NamedTuple):
    """An outcome of the Pix at index `about`, once `after` Pix were asked for."""

    after: int
    about: int
    status: str
    seconds: int = 3
    share: float = 1.0
    return_id: str = "D12345678202611211432a1b2c3d4e5f"


def outcome_row(pix: Event, told: Told, received_at: int) -> OutcomeRow:
    """Return the row of an outcome of a Pix that history has not counted yet."""
    is_return = told.status == "RETURNED"
    return OutcomeRow(
        pix.end_to_end_id,
        "PAYER",
        told.status,
        pix.initiated_at + told.seconds * SECOND,
        received_at,
        return_id=told.return_id if is_return else None,
        amount=max(1, round(pix.amount * told.share)) if is_return else None,
    )


class Served:
    """Score Pix in batches, with outcomes and reports between them."""

    def __init__(self, outcomes: str = "assumed") -> None:
        self.history, self.lookup = MemoryHistoryAdapter(), MemoryLookup()
        self.rows: list[ScoreRow] = []
        self.outcomes: list[OutcomeRow] = []
        self.reports: list[Reported] = []
        self._now = 0
        self._conclusions = Conclusions(self.history, outcomes)
        self._counted = CountedOutcomes(self.history, NEVER_FORGOTTEN, lambda: 0)

    def score(self, events: Sequence[Event], decisions: Sequence[str]) -> None:
        """Score a batch, with decisions that are given."""
        batch, claim = Events(events), Claim(None, self._time(max(each.initiated_at for each in events)))
        seen = asyncio.run(self.history.observe(batch, claim))
        vectors = feature_matrix(batch.columns, seen.reads)
        ids, sides = [each.end_to_end_id for each in events], [each.side for each in events]
        places = asyncio.run(self._conclusions.conclude(ids, sides, seen.lives, decisions)).places.tolist()
        for i, event in enumerate(events):
            own = {"decision": decisions[i], "decided_sequence": places[i] if places[i] != UNPLACED else None}
            at = seen.claims[i].scored_at
            self.rows.append(score_row(event, int(seen.sequence[i]), vectors[i], scored_at=at, **own))
            self.lookup.known[event.end_to_end_id] = Parties(event.payer_id, event.payee_id, event.device_id)

    def tell(self, told: Told) -> None:
        """Count an outcome."""
        self.count(outcome_row(self.rows[told.about].event, told, self._time()))

    def count(self, outcome: OutcomeRow) -> None:
        """Count the row of an outcome."""
        counted = asyncio.run(self._counted.count([outcome]))
        assert counted.errors == {}
        self.outcomes.append(msgspec.structs.replace(outcome, history_sequence=counted.places[0]))

    def report(self, message: dict[str, Any]) -> None:
        """Count a report."""
        one = msgspec.structs.replace(row(message), received_at=len(self.reports))
        for stored in asyncio.run(VerdictHistory(self.lookup, self.history).count([one])).rows:
            known = self.lookup.known[stored.end_to_end_id or ""]
            self.reports.append(Reported(stored, {stored.end_to_end_id or "": known}))

    def _time(self, earliest: int = 0) -> int:
        """Return a time in microseconds after all earlier ones."""
        self._now = max(self._now + 1, earliest)
        return self._now

    def table(self) -> pa.Table:
        """Return the rows of `score_events`, in the order of history."""
        return asked_table(self.rows)

    def changes(self) -> pa.Table:
        """Return decisions and outcomes in the order of history."""
        return changes_table(self.rows, self.outcomes)


def asked_table(rows: Sequence[ScoreRow]) -> pa.Table:
    """Return rows of `score_events` in the order of history; those at one place stay in their order."""
    return placed_table(rows, ONLY)


def placed_table(rows: Sequence[ScoreRow], shard: Shard = ONLY) -> pa.Table:
    """Return rows of `score_events` that a shard has counted, by their places there."""
    found = placed_rows(rows, shard)
    places = pa.array([place for place, _ in found], pa.int64())
    return arrow_table(table("score_events"), [row for _, row in found]).append_column("place", places)


def placed_rows(rows: Sequence[ScoreRow], shard: Shard) -> list[tuple[int, ScoreRow]]:
    """Return the rows that a shard has counted with their places there, in their order."""
    known = [(_on(shard, row.history_sequence, row.visited), row) for row in rows]
    return sorted([(place, row) for place, row in known if place is not None], key=lambda each: each[0])


def changes_table(scores: Sequence[ScoreRow], outcomes: Sequence[OutcomeRow], shard: Shard = ONLY) -> pa.Table:
    """Return decisions and outcomes in the order of a shard, as `StoredTables.changes` selects them."""
    placed = sorted(scores, key=lambda each: each.history_sequence or 0)
    rows = arrow_table(table("score_events"), placed)
    at = {id_: i for i, id_ in reversed(list(enumerate(rows["end_to_end_id"].to_pylist())))}
    words = _on_shard(sorted([*_decisions(scores), *_outcomes(outcomes)], key=lambda each: each["key"]), shard)
    last = {each["id"]: i for i, each in enumerate(words)}
    asks = rows.select(ASK_COLUMNS).take(pa.array([at[each["id"]] for each in words], pa.int64()))
    own = {
        "place": pa.array([each["place"] for each in words], pa.int64()),
        "counted": pa.array([each["counted"] for each in words], pa.bool_()),
        "status": pa.array([each["status"] for each in words], pa.string()),
        "decided_side": pa.array([each.get("side") for each in words], pa.string()),
        "approved": pa.array([each.get("approved") for each in words], pa.bool_()),
        "at": pa.array([each["at"] for each in words], pa.timestamp("us", "UTC")),
        "return_id": pa.array([each.get("return_id") for each in words], pa.string()),
        "returned": pa.array([(each.get("amount") or 0) / 100 for each in words], pa.float64()),
        "more": pa.array([last[each["id"]] > i for i, each in enumerate(words)], pa.bool_()),
    }
    return pa.table(own | {name: asks[name] for name in asks.column_names})


def _on(shard: Shard, own: int | None, visited: Sequence[int]) -> int | None:
    """Return the place of a change on a shard, if it has one."""
    return max(shard.places([*visited] if own is None else [own, *visited]), default=None)


def _on_shard(words: list[dict[str, Any]], shard: Shard) -> list[dict[str, Any]]:
    """Return the words of each Pix at their places on a shard; one without stands before the next one with."""
    following: dict[str, int] = {}
    found = []
    for word in reversed(words):
        place = _on(shard, word["place"], word["visited"]) if word["counted"] else None
        if place is not None:
            following[word["id"]] = place
        if word["id"] in following:
            found.append({**word, "counted": place is not None, "place": following[word["id"]]})
    return sorted(found, key=lambda each: (each["place"], each["key"]))


def _decisions(rows: Sequence[ScoreRow]) -> Iterable[dict[str, Any]]:
    given = set()
    for each in rows:
        key = each.event.end_to_end_id, each.event.side, each.decided_sequence
        if each.decided_sequence is not None and key not in given:
            given.add(key)
            yield {
                "id": each.event.end_to_end_id,
                "place": each.decided_sequence,
                "visited": each.decided_visited,
                "counted": True,
                "status": DECIDED,
                "side": each.event.side,
                "approved": each.decision == "APPROVE",
                "at": each.scored_at,
                "key": (each.decided_sequence, True, 0),
            }


def _outcomes(outcomes: Sequence[OutcomeRow]) -> Iterable[dict[str, Any]]:
    made = {(each.end_to_end_id, each.history_sequence): i for i, each in reversed(list(enumerate(outcomes)))}
    # Said again with another time, an outcome has the place of the change that it once made.
    rows = [
        each
        for i, each in enumerate(outcomes)
        if each.history_sequence is None or made[each.end_to_end_id, each.history_sequence] == i
    ]
    for i, each in enumerate(rows):
        later = [other for other in rows[i:] if other.end_to_end_id == each.end_to_end_id]
        places = [other.history_sequence for other in later if other.history_sequence is not None]
        place = each.history_sequence if each.history_sequence is not None else min(places, default=None)
        if place is not None:
            counted = each.history_sequence is not None
            yield {
                "id": each.end_to_end_id,
                "place": place,
                "visited": each.visited,
                "counted": counted,
                "key": (place, counted, i),
            } | {name: getattr(each, name) for name in ("status", "at", "return_id", "amount")}


def vectors(rows: Sequence[ScoreRow]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the features [n, F] of rows."""
    return np.stack([each.features for each in rows])


def received_late(row: OutcomeRow) -> OutcomeRow:
    """Return an outcome, as of a batch that overlapped later ones if it is a return without a place."""
    is_early = row.history_sequence is None and row.status == "RETURNED"
    return msgspec.structs.replace(row, received_at=row.received_at + 10**9) if is_early else row
