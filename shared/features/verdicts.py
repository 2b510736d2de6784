"""How a report about a Pix changes history, given what was said before."""

from __future__ import annotations

from typing import NamedTuple

from shared.contract.fields import Verdict


class ReportedVerdict(NamedTuple):
    """A verdict and when it was reported (microseconds)."""

    verdict: Verdict
    reported_at: int


class Correction(NamedTuple):
    """What history counts: a verdict (`sign` 1), or one that it takes back (`sign` -1)."""

    fraud: bool
    reported_at: int
    sign: int


def changes(before: ReportedVerdict | None, now: ReportedVerdict) -> list[Correction]:
    """Return what history has to count when `now` is said and what it has counted is `before`.

    A verdict that is repeated changes nothing, so each Pix counts at most once.

    >>> changes(Said(Verdict.FRAUD, 10), Said(Verdict.LEGITIMATE, 20))
    [Change(fraud=True, reported_at=10, sign=-1), Change(fraud=False, reported_at=20, sign=1)]
    """
    if before is not None and before.verdict is now.verdict:
        return []
    taken_back = [] if before is None or before.verdict is Verdict.PENDING else [_change(before, -1)]
    return taken_back if now.verdict is Verdict.PENDING else [*taken_back, _change(now, 1)]


def _change(said: ReportedVerdict, sign: int) -> Correction:
    return Correction(said.verdict is Verdict.FRAUD, said.reported_at, sign)


class AppliedVerdict(NamedTuple):
    """A verdict that came into force, and after how many transactions it was counted, if it was."""

    said: ReportedVerdict
    sequence: int | None


class VerdictLog:
    """What was said about each Pix, by EndToEndId: the latest report is in force, and an older one changes nothing.

    A verdict that is repeated later stays counted as it was, but it is in force from then on.
    """

    def __init__(self) -> None:
        self.heard: dict[str, list[AppliedVerdict]] = {}

    def hear(self, end_to_end_id: str, now: ReportedVerdict, sequence: int) -> list[Correction]:
        """Return what history has to count after `sequence` transactions, and take note."""
        log = self.heard.setdefault(end_to_end_id, [])
        if log and log[-1].said.reported_at > now.reported_at:
            return []
        told = changes(_counted(log), now)
        if told or not log or log[-1].said.reported_at < now.reported_at:
            log.append(AppliedVerdict(now, sequence if told else None))
        return told

    def repeat(self, end_to_end_id: str, now: ReportedVerdict) -> None:
        """Take note of a report that history has heard without counting anything, if it repeats what is in force."""
        log = self.heard.get(end_to_end_id)
        if log and log[-1].said.verdict is now.verdict and log[-1].said.reported_at < now.reported_at:
            log.append(AppliedVerdict(now, None))

    def counted_at(self, end_to_end_id: str, said: ReportedVerdict) -> int | None:
        """Return the sequence at which it was counted, None if it never was."""
        return next((each.sequence for each in self.heard.get(end_to_end_id, ()) if each.said == said), None)


def _counted(log: list[AppliedVerdict]) -> ReportedVerdict | None:
    """Return the verdict in force as it was said first, which is how it was counted.

    >>> _counted([Heard(Said(Verdict.FRAUD, 10), 3), Heard(Said(Verdict.FRAUD, 30), None)])
    Said(verdict=<Verdict.FRAUD: 'FRAUD'>, reported_at=10)
    """
    first = None
    for each in reversed(log):
        if first is not None and each.said.verdict is not first.verdict:
            break
        first = each.said
    return first
