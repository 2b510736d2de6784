"""The rows that a comparison leaves: the points of its looks in `pix.health`, and its end in the ledger."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from shared.contract.measures import FORETOLD, SAVING
from shared.contract.rows import HealthRow, LedgerRow
from shared.learning.contest.verdict import ContestVerdict, Outcome
from shared.learning.data.split import DAY
from shared.learning.judging.bootstrap import Estimate, Interval
from shared.learning.monitoring.measures import Key

ACTIONS: dict[Outcome, str] = {
    "BETTER": "CHALLENGE_BETTER",
    "WORSE": "CHALLENGE_WORSE",
    "NOT_SHOWN": "CHALLENGE_NOT_SHOWN",
    "TOO_FEW": "CHALLENGE_NOT_SHOWN",
}
"""The action of the ledger for the outcome at which a comparison ended."""


class ContestLook(Struct, frozen=True):
    """A look at a champion and a challenger; `day` is the latest one with decisions, both times in microseconds."""

    champion: str
    challenger: str
    day: int
    looked_at: int

    def points(
        self, verdict: ContestVerdict, foretold: Estimate | None, age_days: int, known: Sequence[HealthRow]
    ) -> list[HealthRow]:
        """Return the points of the look that are not among `known`."""
        found = []
        if verdict.saving is not None and verdict.low is not None and verdict.high is not None:
            saving = Estimate(verdict.saving, Interval(verdict.low, verdict.high))
            found.append(self._point(SAVING, saving, verdict.days, self.day - age_days * DAY, age_days))
        if foretold is not None:
            found.append(self._point(FORETOLD, foretold, 0, self.day, None))
        there = {_key(row) for row in known}
        return [row for row in found if _key(row) not in there]

    def _point(self, measure: str, found: Estimate, days: int, day: int, age_days: int | None) -> HealthRow:
        key = Key(day, self.looked_at, None, self.challenger, age_days)
        return msgspec.structs.replace(key.estimate(measure, found, days), segment=self.champion)


def end_row(verdict: ContestVerdict, champion: str | None, challenger: str, at: int, actor: str) -> LedgerRow:
    """Return the row of a comparison that has ended, at a time in microseconds."""
    figures = {name: getattr(verdict, name) for name in ("days", "saving", "low", "high")}
    return LedgerRow(
        recorded_at=at,
        action=ACTIONS[verdict.outcome],
        actor=actor,
        reason=verdict.reason,
        from_version=champion,
        to_version=challenger,
        metrics=msgspec.json.encode({name: value for name, value in figures.items() if value is not None}).decode(),
    )


def _key(row: HealthRow) -> tuple[object, ...]:
    return row.day, row.measure, row.model_version, row.segment, row.age_days
