"""The running comparison of a challenger with the champion, as the page of models shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from shared.contract.measures import FORETOLD, SAVING
from shared.contract.rows import HealthRow, LedgerRow
from shared.desk.health import Point
from shared.desk.records import moment

Standing = Literal["foretold", "open", "saves", "costs"]
"""The evidence of the looks so far: nothing by labels yet, nothing beyond chance, a saving, or a loss."""
ENDS = ("CHALLENGE_BETTER", "CHALLENGE_WORSE", "CHALLENGE_NOT_SHOWN")
"""Actions of the ledger that end a comparison."""


class ContestView(Struct, frozen=True):
    """A comparison: the saving in BRL per million Pix by labels and as foretold, each with its limits over the looks.

    `end` is the row of the ledger that ended it, None while it runs.
    """

    champion: str
    challenger: str
    points: tuple[Point, ...]
    foretold: tuple[Point, ...]
    standing: Standing
    end: LedgerRow | None = None

    @property
    def latest(self) -> Point | None:
        """The last point by labels."""
        return self.points[-1] if self.points else None


def contest(rows: Sequence[HealthRow], ledger: Sequence[LedgerRow]) -> ContestView | None:
    """Return the comparison that was looked at last, None without any."""
    own = [row for row in rows if row.measure in (SAVING, FORETOLD) and row.model_version and row.segment]
    if not own:
        return None
    last = max(own, key=lambda row: row.measured_at)
    champion, challenger = last.segment or "", last.model_version or ""
    pair = [row for row in own if (row.segment, row.model_version) == (champion, challenger)]
    points, foretold = _points(pair, SAVING), _points(pair, FORETOLD)
    return ContestView(champion, challenger, points, foretold, _standing(points), _end(ledger, champion, challenger))


def _points(rows: Sequence[HealthRow], measure: str) -> tuple[Point, ...]:
    """Return the points of a measure in order of time, of each day the one that was measured last."""
    by_day = {row.day: row for row in sorted(rows, key=lambda row: row.measured_at) if row.measure == measure}
    return tuple(
        Point(moment(day).date(), row.value, row.low, row.high)
        for day, row in sorted(by_day.items())
        if row.value is not None
    )


def _standing(points: Sequence[Point]) -> Standing:
    if not points:
        return "foretold"
    last = points[-1]
    if last.low is not None and last.low > 0:
        return "saves"
    return "costs" if last.high is not None and last.high < 0 else "open"


def _end(ledger: Sequence[LedgerRow], champion: str, challenger: str) -> LedgerRow | None:
    ended = (row for row in ledger if row.action in ENDS)
    return next((row for row in ended if (row.from_version, row.to_version) == (champion, challenger)), None)
