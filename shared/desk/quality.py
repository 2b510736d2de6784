"""The quality of reviews: agreement of blind second verdicts, time, hits by reason, and capacity."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from shared.contract.fields import Verdict
from shared.desk.case_state import CaseState, Stage, once, states
from shared.desk.charts import LOCAL
from shared.desk.records import CaseId, CaseStep, HeldPix, ReviewEvent


class Agreement(Struct, frozen=True):
    """Pairs of first and blind second verdicts: their number, the share that agree, and Cohen's kappa.

    `kappa` is None without a pair, or where chance alone would agree always.
    """

    pairs: int
    share: float | None
    kappa: float | None


class Hits(Struct, frozen=True):
    """Judged cases with a reason, and how many of them were fraud."""

    reason: str
    cases: int
    frauds: int


class Pace(Struct, frozen=True):
    """The verdicts of one analyst, by pseudonym, or of all: their number, frauds, and median seconds."""

    by_id: str
    verdicts: int
    frauds: int
    seconds: int | None


class Quality(Struct, frozen=True):
    """The figures of a period of `days` days; `busiest` is the largest number of verdicts in a day.

    `doubted` are the cases whose blind second verdict differs from the one in force, for a supervisor to judge.
    """

    days: int
    agreement: Agreement
    everybody: Pace
    analysts: tuple[Pace, ...]
    hits: tuple[Hits, ...]
    per_day: float
    busiest: int
    awaiting: int
    doubted: tuple[CaseId, ...]


def quality(reviews: Sequence[CaseStep], decided: Iterable[HeldPix], days: int) -> Quality:
    """Return the figures of the events of a period; `decided` are the decisions of their cases."""
    known = states(reviews)
    verdicts = [each for each in once(reviews) if each.event is ReviewEvent.JUDGED]
    by_analyst: dict[str, list[CaseStep]] = {}
    for each in verdicts:
        by_analyst.setdefault(each.by_id, []).append(each)
    by_day = Counter(_day(each.at) for each in verdicts)
    return Quality(
        days,
        agreement(_pairs(known)),
        _pace("", verdicts),
        tuple(sorted((_pace(*each) for each in by_analyst.items()), key=lambda pace: -pace.verdicts)),
        tuple(_hits(known, decided)),
        len(verdicts) / days,
        max(by_day.values(), default=0),
        sum(each.stage is Stage.AWAITING for each in known.values()),
        tuple(sorted(case for case, each in known.items() if each.is_doubted)),
    )


def agreement(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Return the agreement of pairs of verdicts (J. Cohen, Educ. Psychol. Meas. 20, 1960).

    >>> agreement([("FRAUD", "FRAUD"), ("LEGITIMATE", "LEGITIMATE"), ("FRAUD", "LEGITIMATE"), ("FRAUD", "FRAUD")])
    Agreement(pairs=4, share=0.75, kappa=0.5)
    """
    if not pairs:
        return Agreement(0, None, None)
    count = len(pairs)
    observed = sum(first == second for first, second in pairs) / count
    firsts, seconds = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    chance = sum(firsts[name] * seconds[name] for name in firsts) / count**2
    return Agreement(count, observed, None if chance == 1 else (observed - chance) / (1 - chance))


def _pairs(known: Mapping[CaseId, CaseState]) -> list[tuple[str, str]]:
    found = []
    for each in known.values():
        first, second = each.compared, each.second
        if first is not None and second is not None and first.verdict and second.verdict:
            found.append((first.verdict, second.verdict))
    return found


def _pace(by_id: str, verdicts: Sequence[CaseStep]) -> Pace:
    seconds = [each.seconds_taken for each in verdicts if each.seconds_taken is not None]
    frauds = sum(each.verdict == Verdict.FRAUD for each in verdicts)
    return Pace(by_id, len(verdicts), frauds, round(median(seconds)) if seconds else None)


def _hits(known: Mapping[CaseId, CaseState], decided: Iterable[HeldPix]) -> list[Hits]:
    cases: Counter[str] = Counter()
    frauds: Counter[str] = Counter()
    for pix in decided:
        each = known.get(pix.case)
        if each is not None and each.stage is Stage.JUDGED and each.judged is not None:
            cases.update(pix.reasons)
            frauds.update(pix.reasons if each.judged.verdict == Verdict.FRAUD else ())
    return [Hits(reason, count, frauds[reason]) for reason, count in cases.most_common()]


def _day(at: dt.datetime) -> dt.date:
    return at.astimezone(LOCAL).date()
