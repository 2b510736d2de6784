"""Which verdict about a Pix is in force, and how a new report corrects the counters of history."""

from __future__ import annotations

from typing import NamedTuple

from shared.contract.fields import Verdict


class ReportedVerdict(NamedTuple):
    """A verdict and when it was reported (microseconds)."""

    verdict: Verdict
    reported_at: int


class Correction(NamedTuple):
    """A verdict to count (`sign` 1), or to take back (`sign` -1)."""

    fraud: bool
    reported_at: int
    sign: int


def corrections(before: ReportedVerdict | None, now: ReportedVerdict) -> list[Correction]:
    """Return the corrections to apply when verdict `now` replaces `before`.

    Repeating a verdict needs none, so each Pix counts at most once.

    >>> corrections(ReportedVerdict(Verdict.FRAUD, 10), ReportedVerdict(Verdict.LEGITIMATE, 20))
    [Correction(fraud=True, reported_at=10, sign=-1), Correction(fraud=False, reported_at=20, sign=1)]
    """
    if before is not None and before.verdict is now.verdict:
        return []
    taken_back = [] if before is None or before.verdict is Verdict.PENDING else [_correction(before, -1)]
    return taken_back if now.verdict is Verdict.PENDING else [*taken_back, _correction(now, 1)]


def _correction(report: ReportedVerdict, sign: int) -> Correction:
    return Correction(report.verdict is Verdict.FRAUD, report.reported_at, sign)


class AppliedVerdict(NamedTuple):
    """A verdict that came into force, and the sequence of history at which it was counted, None if it was not."""

    report: ReportedVerdict
    sequence: int | None


class VerdictLog:
    """The verdicts about each Pix, by EndToEndId: the latest report is in force, and an older one changes nothing.

    A later report of the same verdict is in force from its own time, but the counters keep the first report's time.
    """

    def __init__(self) -> None:
        self.applied: dict[str, list[AppliedVerdict]] = {}

    def apply(self, end_to_end_id: str, now: ReportedVerdict, sequence: int) -> list[Correction]:
        """Record the verdict; return the corrections to apply at `sequence`."""
        log = self.applied.setdefault(end_to_end_id, [])
        if log and log[-1].report.reported_at > now.reported_at:
            return []
        found = corrections(_counted(log), now)
        # A repeated verdict is recorded without corrections, so that a report between the two is then too old.
        if found or not log or log[-1].report.reported_at < now.reported_at:
            log.append(AppliedVerdict(now, sequence if found else None))
        return found

    def repeat(self, end_to_end_id: str, now: ReportedVerdict) -> None:
        """Record a report that corrected nothing, if it repeats the verdict in force."""
        log = self.applied.get(end_to_end_id)
        if log and log[-1].report.verdict is now.verdict and log[-1].report.reported_at < now.reported_at:
            log.append(AppliedVerdict(now, None))

    def counted_at(self, end_to_end_id: str, report: ReportedVerdict) -> int | None:
        """Return the sequence at which a report was counted, None if it never was."""
        return next((each.sequence for each in self.applied.get(end_to_end_id, ()) if each.report == report), None)


def _counted(log: list[AppliedVerdict]) -> ReportedVerdict | None:
    """Return the first report of the verdict in force, which is the one that was counted.

    >>> fraud = Verdict.FRAUD
    >>> _counted([AppliedVerdict(ReportedVerdict(fraud, 10), 3), AppliedVerdict(ReportedVerdict(fraud, 30), None)])
    ReportedVerdict(verdict=<Verdict.FRAUD: 'FRAUD'>, reported_at=10)
    """
    first = None
    for each in reversed(log):
        if first is not None and each.report.verdict is not first.verdict:
            break
        first = each.report
    return first
