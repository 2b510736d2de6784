"""Comparisons of served features with replayed ones, in the ledger, and the suspicions that they raise.

A model learns from features as they were served. If a replay computes others, they held facts of later, or lacked
some: the model would learn the fault, or a leak of labels. So a training set has to be compared (`jobs.skew`) before
a model trained on it serves; where it was not, or differs, a person has to look.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from shared.contract.event import EPOCH, micros
from shared.contract.rows import LedgerRow
from shared.learning.specs.gate import ComparisonSpec

ACTIONS = ("NO_SKEW", "SKEW")
_LISTED = 5  # features named in a reason
_Span = tuple[int, int]


class DayComparison(Struct, frozen=True):
    """A comparison of the Pix initiated from `since` to `until`, the last ones included.

    `compared` rows had features to compare, `differing` of them differ or were counted twice; `features` differ.
    """

    since: dt.datetime
    until: dt.datetime
    compared: int
    differing: int
    features: list[str]

    def reason(self) -> str:
        """Return a sentence on its result.

        >>> day = dt.datetime(2026, 11, 20)
        >>> DayComparison(day, day + dt.timedelta(days=1), 9000, 9, ["amount"]).reason()
        'of 9,000 rows of 2026-11-20 to 2026-11-21, 9 have other features than a replay: amount'
        """
        names = ", ".join(self.features[:_LISTED])
        more = f" and {len(self.features) - _LISTED} more" if len(self.features) > _LISTED else ""
        text = f"of {self.compared:,} rows of {self.since:%Y-%m-%d} to {self.until:%Y-%m-%d}, {self.differing:,}"
        return f"{text} have other features than a replay{f': {names}{more}' if names else ''}"


def comparison_row(found: DayComparison, at: dt.datetime, actor: str) -> LedgerRow:
    """Return the row of a comparison in the ledger."""
    figures = {
        "since": found.since.timestamp(),
        "until": found.until.timestamp(),
        "compared": float(found.compared),
        "differing": float(found.differing),
    }
    return LedgerRow(
        recorded_at=micros(at),
        action=ACTIONS[found.differing > 0],
        actor=actor,
        reason=found.reason(),
        metrics=msgspec.json.encode(figures).decode(),
        as_of=micros(found.until),
    )


def comparison_suspicions(
    rows: Sequence[LedgerRow], trained: _Span, judged_since: int, spec: ComparisonSpec
) -> list[str]:
    """Return a sentence for each reason to look at a training set, by the ledger rows of comparisons.

    The training set is of Pix initiated within `trained`, in microseconds, and the challenger is judged on those from
    `judged_since` on. The latest comparison of a moment counts, as a fault may have been mended since. A comparison
    speaks against the set if more than `differing_max` of its rows differ. The test period must have been compared,
    but for `uncompared_max` of its time: nobody can compare deleted rows again, and a night may fail.
    """
    latest = sorted((row for row in rows if row.action in ACTIONS), key=lambda row: -row.recorded_at)
    unknown, found = [trained], []
    for row in latest:
        since, until, share = _stated(row)
        left = _without(unknown, (since, until))
        if left != unknown and share > spec.differing_max:
            found.append(row.reason)
        unknown = left
    judged = _without(unknown, (trained[0] - 1, judged_since))
    missing = sum(stop - start for start, stop in judged) / max(trained[1] - judged_since, 1)
    if missing > spec.uncompared_max:
        found.append(
            f"the served features of {missing:.0%} of the test period from {_day(judged_since)} to "
            f"{_day(trained[1])} were not compared with a replay (jobs.skew --record)"
        )
    return found


def _stated(row: LedgerRow) -> tuple[int, int, float]:
    """Return the start and end of the period of a row, in microseconds, and the share of its rows that differ."""
    figures = msgspec.json.decode(row.metrics or "{}", type=dict[str, float])
    since, until = (round(figures[name] * 1e6) for name in ("since", "until"))
    return since, until, figures["differing"] / max(figures["compared"], 1.0)


def _without(spans: Sequence[_Span], taken: _Span) -> list[_Span]:
    """Return spans of time without one of them.

    >>> _without([(0, 10)], (2, 5)), _without([(0, 10)], (10, 12)), _without([(0, 10)], (-1, 20))
    ([(0, 2), (5, 10)], [(0, 10)], [])
    """
    left = [part for start, stop in spans for part in ((start, min(stop, taken[0])), (max(start, taken[1]), stop))]
    return [(start, stop) for start, stop in left if start < stop]


def _day(at: int) -> str:
    return f"{EPOCH + dt.timedelta(microseconds=at):%Y-%m-%d}"
