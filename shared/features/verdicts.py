"""How a report about a Pix changes history, given what was said before."""

from __future__ import annotations

from typing import NamedTuple

from shared.contract.fields import Verdict


class Said(NamedTuple):
    """A verdict and when it was reported (microseconds)."""

    verdict: Verdict
    reported_at: int


class Change(NamedTuple):
    """What history counts: a verdict (`sign` 1), or one that it takes back (`sign` -1)."""

    fraud: bool
    reported_at: int
    sign: int


def changes(before: Said | None, now: Said) -> list[Change]:
    """Return what history has to count when `now` is said after `before`.

    The later report is in force; a verdict that is repeated changes nothing, so each Pix counts at most once.

    >>> changes(Said(Verdict.FRAUD, 10), Said(Verdict.LEGITIMATE, 20))
    [Change(fraud=True, reported_at=10, sign=-1), Change(fraud=False, reported_at=20, sign=1)]
    """
    if before is not None and (before.reported_at > now.reported_at or before.verdict is now.verdict):
        return []
    taken_back = [] if before is None or before.verdict is Verdict.PENDING else [_change(before, -1)]
    return taken_back if now.verdict is Verdict.PENDING else [*taken_back, _change(now, 1)]


def _change(said: Said, sign: int) -> Change:
    return Change(said.verdict is Verdict.FRAUD, said.reported_at, sign)


class Heard(NamedTuple):
    """A verdict that came into force, and after how many transactions it was counted, if it was."""

    said: Said
    sequence: int | None


class SaidLog:
    """What was said about each Pix, by EndToEndId, so that a report that is repeated or older changes nothing."""

    def __init__(self) -> None:
        self.heard: dict[str, list[Heard]] = {}

    def hear(self, end_to_end_id: str, now: Said, sequence: int) -> list[Change]:
        """Return what history has to count after `sequence` transactions, and take note."""
        log = self.heard.setdefault(end_to_end_id, [])
        told = changes(log[-1].said if log else None, now)
        if told or not log:
            log.append(Heard(now, sequence if told else None))
        return told

    def counted_at(self, end_to_end_id: str, said: Said) -> int | None:
        """Return the sequence at which it was counted, None if it never was."""
        return next((each.sequence for each in self.heard.get(end_to_end_id, ()) if each.said == said), None)
