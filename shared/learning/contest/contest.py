"""Look at the test of a challenger, and act on the result: promotion, an end, or a row in the ledger."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from shared.contract.event import micros
from shared.contract.measures import FORETOLD, SAVING
from shared.contract.rows import HealthRow
from shared.contract.stored import stored
from shared.contract.tables import measured
from shared.errors import PreconditionFailed
from shared.learning.config import Config
from shared.learning.contest.arms import arms_evidence, arms_foretold
from shared.learning.contest.cohorts import Cohort, CohortStore
from shared.learning.contest.contest_sql import ONE_DAY, ContestSql
from shared.learning.contest.evidence import paired_evidence, paired_foretold
from shared.learning.contest.record import ContestLook, end_row
from shared.learning.contest.sequence import limits
from shared.learning.contest.verdict import ContestEvidence, ContestVerdict, judge
from shared.learning.judging.bootstrap import Estimate
from shared.learning.judging.spread import Measured
from shared.learning.lifecycle.challenge import ChallengeCommands
from shared.learning.lifecycle.operator_move import OperatorMove
from shared.learning.lifecycle.pointer import PointerState, parse_time, read_pointer
from shared.learning.monitoring.ladder import AGES
from shared.learning.monitoring.measures import MISSED, label_growth
from shared.learning.monitoring.monitor import SETTLE, TABLE, HealthRows
from shared.learning.ports import ReportProgress
from shared.ports.blobs import Blobs
from shared.ports.tables import Queries
from shared.scoring.challenge import Challenge

_REMEMBERED = 2 * AGES[-1]  # days whose frauds tell how those of an age grow
Consequence = Literal["PROMOTED", "DROPPED", "TOLD", "NONE", "SWAP_LOST"]


class Compared(Struct, frozen=True):
    """The result of a look; without a test only `outcome` and `reasons` are there.

    `foretold` is the saving by scores alone with its limits, which never decides. `consequence` is the action taken.
    """

    outcome: str
    reasons: list[str]
    champion: str | None = None
    challenger: str | None = None
    mode: str | None = None
    verdict: ContestVerdict | None = None
    foretold: Estimate | None = None
    consequence: Consequence = "NONE"


@dataclass(frozen=True, slots=True)
class Contest:
    """The services of a look: models and rows in buckets, tables, the ledger of `moves`, and the steps of tests."""

    models: Blobs
    rows: Blobs
    queries: Queries
    health: HealthRows
    moves: OperatorMove
    steps: ChallengeCommands
    config: Config
    project: str
    dataset: str
    maturity_days: float

    def run(self, as_of: dt.datetime, apply: bool, report: ReportProgress) -> Compared:
        """Look once. Raises Unavailable, Misconfigured, BundleRefused, RowRefused."""
        state = read_pointer(self.models)
        challenge = state.pointer.challenge if state.pointer else None
        if state.version is None or challenge is None:
            return Compared("NOTHING_TO_DO", ["no challenger is tried"])
        sql = ContestSql(
            self.project, self.dataset, self.maturity_days, state.version, challenge.version, challenge.mode
        )
        store = CohortStore(self.rows, self.queries, sql)
        known = self._health(as_of)
        labelled = self._labelled(store, challenge, as_of, report)
        verdict = judge(self._evidence(labelled, challenge, known), self.config.contest, self.config.gate)
        foretold = self._foretold(self._unlabelled(store, challenge, as_of), challenge)
        self._append(known, state.version, challenge, as_of, verdict, foretold)
        consequence = self._follow(state, challenge, verdict) if apply else "NONE"
        return Compared(
            verdict.outcome,
            [verdict.reason],
            state.version,
            challenge.version,
            challenge.mode,
            verdict,
            foretold,
            consequence,
        )

    def _evidence(
        self, cohorts: Sequence[Cohort], challenge: Challenge, known: Sequence[HealthRow]
    ) -> ContestEvidence:
        factor = label_growth(known, self.config.contest.label_age_days)
        if not cohorts or math.isnan(factor):
            return ContestEvidence(0, 0.0, 0.0, None, growth_known=not math.isnan(factor))
        if challenge.mode == "SHADOW":
            return paired_evidence(cohorts, self.config, factor)
        return arms_evidence(cohorts, self.config.costs, factor)

    def _foretold(self, cohorts: Sequence[Cohort], challenge: Challenge) -> Estimate | None:
        found: Measured | None = None
        if cohorts and challenge.mode == "SHADOW":
            found = paired_foretold(cohorts, self.config)
        elif cohorts:
            found = arms_foretold(cohorts, self.config.costs)
        if found is None:
            return None
        gate, spec = self.config.gate, self.config.contest
        return Estimate(found.value, limits(found, gate.false_promotions, spec.tightest_days))

    def _labelled(
        self, store: CohortStore, challenge: Challenge, as_of: dt.datetime, report: ReportProgress
    ) -> list[Cohort]:
        age = self.config.contest.label_age_days
        days = days_under_test(challenge, as_of - age * ONE_DAY)[: self.config.contest.days_max]
        found = []
        for number, day in enumerate(days):
            report(number, len(days), f"{day:%Y-%m-%d}")
            found.append(store.cohort(day, age))
        return [each for each in found if each.totals]

    def _unlabelled(self, store: CohortStore, challenge: Challenge, as_of: dt.datetime) -> list[Cohort]:
        found = [
            store.cohort(day, None) for day in days_under_test(challenge, as_of)[-self.config.contest.days_max :]
        ]
        return [each for each in found if each.totals]

    def _health(self, as_of: dt.datetime) -> list[HealthRow]:
        since = as_of - _REMEMBERED * ONE_DAY
        found = self.queries.rows(measured(self.project, self.dataset), {"since": since})
        return [stored(HealthRow, TABLE, row) for row in found if row["measure"] in (MISSED, SAVING, FORETOLD)]

    def _append(
        self,
        known: Sequence[HealthRow],
        champion: str,
        challenge: Challenge,
        as_of: dt.datetime,
        verdict: ContestVerdict,
        foretold: Estimate | None,
    ) -> None:
        look = ContestLook(champion, challenge.version, micros(_last(as_of)), micros(self.moves.clock()))
        new = look.points(verdict, foretold, self.config.contest.label_age_days, known)
        if new:
            self.health.append(new)

    def _follow(self, state: PointerState, challenge: Challenge, verdict: ContestVerdict) -> Consequence:
        """Take the configured action for an ended comparison; a row in the ledger tells it first."""
        if not verdict.ended:
            return "NONE"
        self._tell(state, challenge, verdict)
        spec = self.config.contest
        try:
            if verdict.outcome == "BETTER":
                if spec.better != "promote":
                    return "TOLD"
                self.moves.promote(challenge.version, verdict.reason, over=state)
                return "PROMOTED"
            if (spec.worse if verdict.outcome == "WORSE" else spec.not_shown) != "drop":
                return "TOLD"
            stopped = self.steps.stop(verdict.reason, challenge.version)
        except PreconditionFailed:
            return "SWAP_LOST"
        return "DROPPED" if stopped.outcome == "STOPPED" else "SWAP_LOST"

    def _tell(self, state: PointerState, challenge: Challenge, verdict: ContestVerdict) -> None:
        """Append the row of the end of a comparison, once."""
        ledger, at = self.moves.ledger, micros(self.moves.clock())
        row = end_row(verdict, state.version, challenge.version, at, self.moves.actor)
        key = row.action, row.from_version, row.to_version
        since = parse_time(challenge.started_at)
        if all((told.action, told.from_version, told.to_version) != key for told in ledger.rows(since)):
            ledger.append(row)


def days_under_test(challenge: Challenge, as_of: dt.datetime) -> list[dt.datetime]:
    """Return the days (UTC) of a test that have ended and settled, the first one perhaps in part.

    >>> challenge = Challenge("v2", "SHADOW", "2026-11-01T12:00:00+00:00", "2026-11-01T12:00:00+00:00")
    >>> [f"{day:%m-%d}" for day in days_under_test(challenge, dt.datetime(2026, 11, 4, 5, tzinfo=dt.UTC))]
    ['11-01', '11-02']
    """
    start, last = _start(parse_time(challenge.started_at)), _last(as_of)
    return [start + number * ONE_DAY for number in range((last - start) // ONE_DAY + 1)]


def _last(as_of: dt.datetime) -> dt.datetime:
    """Return the latest day that has ended and settled."""
    return _start(as_of - SETTLE) - ONE_DAY


def _start(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
