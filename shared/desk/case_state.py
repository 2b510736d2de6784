"""The state of a case by its events: nothing is ever updated, so the latest events say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from shared.contract.feedback import ShownBecause
from shared.desk.records import CaseId, CaseStep, ReviewEvent

_ANSWERS = (ReviewEvent.AGREED, ReviewEvent.DISAGREED)


class Stage(StrEnum):
    """How far a case is: OPEN, AWAITING the agreement of a second person, or JUDGED."""

    OPEN = "OPEN"
    AWAITING = "AWAITING"
    JUDGED = "JUDGED"


class CaseState(Struct, frozen=True):
    """The state of a case.

    `judged` is the verdict in question, without blind second ones; `answer` that of a second person to it; `second`
    the latest blind second verdict; `compared` the verdict in question when it was given.
    """

    stage: Stage = Stage.OPEN
    judged: CaseStep | None = None
    answer: CaseStep | None = None
    second: CaseStep | None = None
    compared: CaseStep | None = None

    @property
    def is_disputed(self) -> bool:
        """Return whether a second person disagreed with the last verdict, so that the case is open again."""
        return self.answer is not None and self.answer.event is ReviewEvent.DISAGREED

    @property
    def is_doubted(self) -> bool:
        """Return whether the blind second verdict differs from the one in question, which nobody gave again since."""
        if self.second is None or self.judged is None or self.judged != self.compared:
            return False
        return self.second.verdict != self.judged.verdict


def once(reviews: Iterable[CaseStep]) -> list[CaseStep]:
    """Return events without those that a later one of the same id replaces, in order of time."""
    latest: dict[str, CaseStep] = {}
    for each in sorted(reviews, key=lambda review: review.at):
        latest[each.review_id] = each
    return sorted(latest.values(), key=lambda review: review.at)


def state(reviews: Iterable[CaseStep]) -> CaseState:
    """Return the state of a case by its events."""
    events = once(reviews)
    verdicts = [each for each in events if each.event is ReviewEvent.JUDGED]
    firsts = [each for each in verdicts if each.shown_because != ShownBecause.SECOND_REVIEW]
    judged = _last(firsts)
    second = _last([each for each in verdicts if each.shown_because == ShownBecause.SECOND_REVIEW])
    if judged is None:
        return CaseState(second=second)
    answer = _last([each for each in events if each.event in _ANSWERS and each.about_id == judged.review_id])
    compared = None if second is None else _last([each for each in firsts if each.at <= second.at])
    return CaseState(_stage(judged, answer), judged, answer, second, compared)


def states(reviews: Sequence[CaseStep]) -> Mapping[CaseId, CaseState]:
    """Return the state of each case that has events."""
    by_case: dict[CaseId, list[CaseStep]] = {}
    for each in reviews:
        by_case.setdefault(each.case, []).append(each)
    return {case: state(events) for case, events in by_case.items()}


def _stage(judged: CaseStep, answer: CaseStep | None) -> Stage:
    if not judged.needs_agreement:
        return Stage.JUDGED
    if answer is None:
        return Stage.AWAITING
    return Stage.JUDGED if answer.event is ReviewEvent.AGREED else Stage.OPEN


def _last(reviews: Sequence[CaseStep]) -> CaseStep | None:
    return reviews[-1] if reviews else None
