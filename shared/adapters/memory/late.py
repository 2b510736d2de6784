"""`shared.ports.late.LateOutcomes` over rows in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.contract.event import micros
from shared.contract.rows import LateRow, OutcomeRow
from shared.ports.late import LatePeriod

_DATE = slice(9, 17)  # yyyyMMdd within an EndToEndId
_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class MemoryLate:
    """Rows of late outcomes in a list that others append to."""

    late_outcomes: Sequence[object]

    def waiting(self, period: LatePeriod, limit: int) -> list[OutcomeRow]:
        """Return outcomes that wait to be counted, those of a day of Pix together."""
        said: dict[tuple[object, ...], list[LateRow]] = {}
        for row in self.late_outcomes:
            if isinstance(row, LateRow) and row.received_at >= micros(period.since):
                said.setdefault(_statement(row), []).append(row)
        open_ = [same for same in said.values() if not any(row.counted for row in same)]
        now, seconds = micros(period.now), period.seconds * _SECOND
        ready = [(_received(same), _tried(same), same[0]) for same in open_]
        ready = [each for each in ready if each[1] is None or now - each[1] >= max(seconds, each[1] - each[0])]
        if not any(now - (tried or received) >= seconds for received, tried, _ in ready):
            return []
        found = sorted(ready, key=lambda each: (each[2].end_to_end_id[_DATE], each[2].end_to_end_id, each[0]))
        return [_outcome(row, received) for received, _, row in found][:limit]


def _statement(row: LateRow) -> tuple[object, ...]:
    return row.end_to_end_id, row.side, row.status, row.at, row.reason, row.return_id, row.amount


def _received(same: Sequence[LateRow]) -> int:
    return min(row.received_at for row in same)


def _tried(same: Sequence[LateRow]) -> int | None:
    return max((row.tried_at for row in same if row.tried_at is not None), default=None)


def _outcome(row: LateRow, received: int) -> OutcomeRow:
    return OutcomeRow(
        row.end_to_end_id, row.side, row.status, row.at, received, row.reason, row.return_id, row.amount
    )
