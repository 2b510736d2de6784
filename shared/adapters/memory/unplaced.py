"""`shared.ports.places.UnplacedRows` over rows in memory, and these rows as history counted them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import msgspec

from shared.contract.event import micros
from shared.contract.rows import FeedbackRow, FillRow, LostRow, OutcomeRow, ScoreRow
from shared.features.catalogue import FEATURE_NAMES
from shared.features.facts import IMPLIED
from shared.features.places import Epoch, Place
from shared.ports.history import Claim
from shared.ports.places import Unplaced, UnplacedPeriod

_MINUTE = 60_000_000
_CLOCKS_DIFFER = 3_000_000  # microseconds, at most
_IMPLIED = [FEATURE_NAMES.index(name) for name in IMPLIED]
Row = TypeVar("Row", OutcomeRow, FeedbackRow)


class CountedRow(NamedTuple):
    """A row of `score_events` with its places and features as history counted them, as `parts/counted.sql` has it."""

    row: ScoreRow
    filled: bool
    turn: int
    part_lost: bool = False


def counted(scores: Iterable[ScoreRow], fills: Iterable[FillRow], lost: Iterable[LostRow]) -> list[CountedRow]:
    """Return rows as history counted them, in their order."""
    kept = kept_by_part(lost)
    latest: dict[tuple[str, str], FillRow] = {}
    for each in sorted(fills, key=lambda fill: fill.filled_at):
        if _are_kept(kept, each.history_sequence, *each.visited):
            latest[each.end_to_end_id, each.side] = each
    return [_counted(row, latest.get((row.event.end_to_end_id, row.event.side)), kept) for row in scores]


def _counted(row: ScoreRow, fill: FillRow | None, kept: Mapping[int, int]) -> CountedRow:
    ask, decision = row.history_sequence, row.decided_sequence
    places = ask, decision, *row.visited, *row.decided_visited
    if ask is not None and not row.place_pending and _are_kept(kept, *places):
        return CountedRow(row, filled=False, turn=1)
    if fill is None:
        ask, decision = (each if _is_kept(each, kept) else None for each in (ask, decision))
        visited, decided = (
            [each for each in some if _is_kept(each, kept)] for some in (row.visited, row.decided_visited)
        )
        own = msgspec.structs.replace(
            row,
            history_sequence=ask,
            decided_sequence=decision,
            visited=tuple(visited),
            decided_visited=tuple(decided),
            place_pending=True,
        )
        return CountedRow(own, filled=False, turn=1, part_lost=len(visited) < len(row.visited))
    lost = not _are_kept(kept, fill.decided_sequence, *fill.decided_visited)
    found = msgspec.structs.replace(
        row,
        history_sequence=fill.history_sequence,
        visited=fill.visited,
        decided_visited=tuple(each for each in fill.decided_visited if _is_kept(each, kept)),
        decided_sequence=fill.decided_sequence if _is_kept(fill.decided_sequence, kept) else None,
        place_pending=lost,
        features=fill.features,
    )
    return CountedRow(found, filled=True, turn=0 if fill.own_facts else 2, part_lost=fill.recounted)


def told(rows: Sequence[Row], lost: Iterable[LostRow]) -> list[Row]:
    """Return outcomes or reports as history counted them: each once, with a place if it has one that is not lost.

    They are in the order in which they were received, and first stood among `rows`.
    """
    kept = kept_by_part(lost)
    turns: dict[Row, int] = {}
    found: dict[Row, Row] = {}
    rows = [row for row in rows if not _is_late(row)]
    for turn, row in enumerate(rows):
        turns.setdefault(_statement(row), turn)
    for row in sorted(rows, key=lambda each: _standing(each, kept)):
        if _is_kept(row.history_sequence, kept):
            own = tuple(each for each in row.visited if _is_kept(each, kept))
            found.setdefault(_statement(row), msgspec.structs.replace(row, visited=own))
    return sorted(found.values(), key=lambda each: (each.received_at, turns[_statement(each)]))


@dataclass(frozen=True, slots=True)
class MemoryUnplaced:
    """Rows in lists that others append to."""

    score_events: Sequence[object]
    told: Sequence[object]
    feedback: Sequence[object]
    fills: Sequence[object]
    lost: Sequence[object]

    def scores(self, window: UnplacedPeriod, after: Unplaced | None, limit: int) -> list[Unplaced]:
        """Return decisions without a place, in the order of scoring."""
        rows = [each for each in self.score_events if isinstance(each, ScoreRow) and _within(each, window)]
        every = counted(rows, self._fills, self._lost)
        ids = {each.row.event.end_to_end_id for each in every if each.row.history_sequence is not None}
        sides: dict[tuple[str, str], list[tuple[ScoreRow, CountedRow]]] = {}
        for row, known in zip(rows, every, strict=True):
            sides.setdefault((row.event.end_to_end_id, row.event.side), []).append((row, known))
        first = []
        for (id_, _), same in sides.items():
            turn = _turns([row for row, _ in same])
            pending = [(turn(row), row, known) for row, known in same if known.row.place_pending]
            if pending:
                _, row, known = min(pending, key=lambda each: each[0])
                is_counted = id_ in ids if known.row.history_sequence is None else known.part_lost
                first.append(_unplaced(row, is_counted, known.row))
        found = sorted(first, key=_order)
        return [each for each in found if after is None or _order(each) > _order(after)][:limit]

    def outcomes(self, window: UnplacedPeriod) -> list[OutcomeRow]:
        """Return outcomes that history has lost, or that came before their Pix had a place."""
        filled_at = {
            each.end_to_end_id: each.filled_at for each in sorted(self._fills, key=lambda each: each.filled_at)
        }
        since = micros(window.since)
        rows = [
            each for each in self.told if isinstance(each, OutcomeRow) and each.at >= since and not _is_late(each)
        ]
        return [
            row
            for row in self._without_place(rows)
            if row.history_sequence is not None or filled_at.get(row.end_to_end_id, 0) >= row.received_at - _MINUTE
        ]

    def reports(self, window: UnplacedPeriod) -> list[FeedbackRow]:
        """Return reports that history has lost."""
        since = micros(window.since)
        rows = [each for each in self.feedback if isinstance(each, FeedbackRow) and each.received_at >= since]
        return [row for row in self._without_place(rows) if row.history_sequence is not None]

    def _without_place(self, rows: Sequence[Row]) -> list[Row]:
        """Return the last row of each statement without a place, in the order in which they were first received."""
        kept, noted = kept_by_part(self._lost), max((each.noted_at for each in self._lost), default=0)
        said: dict[Row, list[Row]] = {}
        for row in sorted(rows, key=lambda each: each.received_at):
            said.setdefault(_statement(row), []).append(row)
        without = [
            same[-1]
            for same in said.values()
            if not any(
                row.history_sequence is not None and _are_kept(kept, row.history_sequence, *row.visited)
                for row in same
            )
        ]
        return [
            row
            for row in without
            if row.history_sequence is None or not _is_kept(row.history_sequence, kept) or row.received_at < noted
        ]

    @property
    def _fills(self) -> list[FillRow]:
        return [each for each in self.fills if isinstance(each, FillRow)]

    @property
    def _lost(self) -> list[LostRow]:
        return [each for each in self.lost if isinstance(each, LostRow)]


def _is_late(row: OutcomeRow | FeedbackRow) -> bool:
    return isinstance(row, OutcomeRow) and bool(row.place_pending)


def _statement(row: Row) -> Row:
    return msgspec.structs.replace(row, received_at=0, history_sequence=None, visited=())


def kept_by_part(lost: Iterable[LostRow]) -> dict[int, int]:
    """Return the number of the last kept change by `Epoch.part`."""
    kept: dict[int, int] = {}
    for each in lost:
        part = Epoch(each.epoch, each.kept, each.shard or 0).part
        kept[part] = min(each.kept, kept.get(part, each.kept))
    return kept


def _is_kept(place: int | None, kept: Mapping[int, int]) -> bool:
    if place is None:
        return True
    known = Place.of(place)
    return known.number <= kept.get(known.part, known.number)


def _are_kept(kept: Mapping[int, int], *places: int | None) -> bool:
    return all(_is_kept(place, kept) for place in places)


def _standing(row: OutcomeRow | FeedbackRow, kept: Mapping[int, int]) -> tuple[bool, bool, int]:
    """Return the order in which rows that say the same are preferred: with all places, with some, by receipt."""
    return row.history_sequence is None, not _are_kept(kept, *row.visited), row.received_at


def _turns(same: Sequence[ScoreRow]) -> Callable[[ScoreRow], tuple[int, ...]]:
    """Return the key of the order of the rows of a Pix and side, as `parts/first.sql` has it."""
    begun: dict[int | None, int] = {}
    for row in same:
        begun[row.published_at] = min(_seen_at(row), begun.get(row.published_at, _seen_at(row)))
    unnumbered = not all(map(_has_numbers, same))

    def turn(row: ScoreRow) -> tuple[int, ...]:
        numbers = (begun[row.published_at],) if unnumbered else (row.history_sequence or 0, row.claim_number or 0)
        return *numbers, row.published_at or 0, row.delivery_attempt or 0, _seen_at(row), row.claim_number or 0

    return turn


def _seen_at(row: ScoreRow) -> int:
    return row.scored_at - _CLOCKS_DIFFER if _has_numbers(row) else row.scored_at


def _has_numbers(row: ScoreRow) -> bool:
    return row.claim_number is not None and row.history_sequence is not None


def _within(row: ScoreRow, window: UnplacedPeriod) -> bool:
    return row.event.initiated_at >= micros(window.since) and row.scored_at < micros(window.until)


def _unplaced(row: ScoreRow, is_counted: bool, known: ScoreRow) -> Unplaced:
    claim = Claim(row.model_version, row.scored_at, row.hmac_key_version)
    is_lost = known.history_sequence is None and row.history_sequence is not None and bool(known.visited)
    values = [float(row.features[column]) for column in _IMPLIED] if is_lost else []
    implied = tuple(None if math.isnan(each) else each for each in values) or None
    return Unplaced(row.event, row.decision, claim, is_counted, implied)


def _order(each: Unplaced) -> tuple[int, str, str]:
    return each.claim.scored_at, each.event.end_to_end_id, each.event.side
