"""The guards of a test on live traffic: the differences between both arms beyond which the champion decides alone.

Each share of the challenger's arm is compared with the champion's by the exact conditional test of two rates: given
the events of both arms together, those of one are binomial. It holds for few events and for many, and the ratio up to
which no guard trips is part of it. Source: Przyborowski and Wilenski, Homogeneity of Results in Testing Samples from
Poisson Series, Biometrika, 1940. Events are fewer than Pix, so the binomial law makes the test a little stricter than
its level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from msgspec import Struct
from scipy.stats import binom

from shared.learning.judging.live_rejects import RejectSums, too_many
from shared.learning.specs.gate import CostSpec
from shared.learning.specs.ramp import GuardSpec
from shared.scoring.challenge import CHALLENGER, CHAMPION


class ArmCounts(Struct, frozen=True):
    """Numbers of decided Pix of an arm.

    They are all Pix, those held, rejected, degraded, unscored by the challenger, slow, and those with an early report
    or a complaint of the customer.
    """

    pix: int = 0
    held: int = 0
    rejected: int = 0
    degraded: int = 0
    unscored: int = 0
    slow: int = 0
    reported: int = 0
    contested: int = 0

    def plus(self, other: ArmCounts) -> ArmCounts:
        """Return the sums of both."""
        return ArmCounts(*(a + b for a, b in zip(msgspec.structs.astuple(self), _numbers(other), strict=True)))


class Reading(NamedTuple):
    """The counts of each arm: of the stage, and of its last minutes.

    `rejects` and `recent_rejects` are sums of the challenger's own rejects by side, of all Pix that it scored: in the
    shadow, and in the champion's arm, it rejects none, but says whether it would.
    """

    stage: Mapping[str, ArmCounts]
    recent: Mapping[str, ArmCounts]
    rejects: Mapping[str, RejectSums] = MappingProxyType({})
    recent_rejects: Mapping[str, RejectSums] = MappingProxyType({})

    def of(self, arm: str) -> ArmCounts:
        """Return the counts of an arm in the stage."""
        return self.stage.get(arm, ArmCounts())


def tripped(reading: Reading, before: ArmCounts | None, spec: GuardSpec, costs: Mapping[str, CostSpec]) -> str | None:
    """Return the reason to end a test, None if no guard trips.

    `before` are the counts of the champion in the last stage in which it decided, for one in which it decides none.
    `costs` have the ceilings on rejects of each side.
    """
    for counts, rejects in ((reading.recent, reading.recent_rejects), (reading.stage, reading.rejects)):
        for reason in (*_reasons(counts, before, spec), *_of_rejects(counts, rejects, spec, costs)):
            return reason
    return None


def above(one: tuple[int, int], other: tuple[int, int], ratio: float, level: float) -> bool:
    """Return whether the share of `one`, (part, whole), is more than `ratio` times the other's, beyond chance.

    >>> above((40, 1_000), (100, 9_000), 1.5, 1e-4), above((18, 1_000), (100, 9_000), 1.5, 1e-4)
    (True, False)
    """
    (a, n), (b, m) = one, other
    if not n or not m or a * m <= ratio * b * n:
        return False
    return float(binom.sf(a - 1, a + b, ratio * n / (ratio * n + m))) < level


def _reasons(counts: Mapping[str, ArmCounts], before: ArmCounts | None, spec: GuardSpec) -> Iterator[str]:
    own, champion = counts.get(CHALLENGER, ArmCounts()), counts.get(CHAMPION, ArmCounts())
    yield from _of_both(own.plus(champion), spec)
    reference = champion if champion.pix else before
    if not own.pix or reference is None:
        return
    for name, ratio in (
        *(("held", spec.stopped_ratio_max), ("rejected", spec.stopped_ratio_max)),
        *(("degraded", spec.degraded_ratio_max), ("reported", spec.reported_ratio_max)),
        ("contested", spec.reported_ratio_max),
    ):
        one, other = (getattr(own, name), own.pix), (getattr(reference, name), reference.pix)
        if above(one, other, ratio, spec.level):
            yield f"{name}: {_share(one)} by the challenger, {_share(other)} by the champion; at most {ratio:g} times"
    one, other = (own.held + own.rejected, own.pix), (reference.held + reference.rejected, reference.pix)
    if spec.stopped_ratio_min and above(other, one, 1 / spec.stopped_ratio_min, spec.level):
        least = spec.stopped_ratio_min
        yield f"stopped: {_share(one)} by the challenger, {_share(other)} by the champion; at least {least:g} times"


def _of_both(both: ArmCounts, spec: GuardSpec) -> Iterator[str]:
    """Yield the reasons that need no reference."""
    if both.pix < spec.pix_min:
        return
    for name, most in (("unscored", spec.unscored_max), ("slow", spec.slow_max)):
        part = getattr(both, name)
        if part > most * both.pix and float(binom.sf(part - 1, both.pix, most)) < spec.level:
            yield f"{name}: {_share((part, both.pix))} of the test; at most {most:.1%}"


def _of_rejects(
    counts: Mapping[str, ArmCounts], rejects: Mapping[str, RejectSums], spec: GuardSpec, costs: Mapping[str, CostSpec]
) -> Iterator[str]:
    """Yield a reason for each side on which the challenger rejects more good customers than the gate allows."""
    if sum(each.pix for each in counts.values()) < spec.pix_min:
        return
    for side, sums in rejects.items():
        if reason := too_many(sums, side, costs[side], spec.level):
            yield f"ceiling: the challenger {reason}"


def _share(of: tuple[int, int]) -> str:
    return f"{of[0] / of[1]:.2%} of {of[1]:,}"


def _numbers(counts: ArmCounts) -> tuple[int, ...]:
    return msgspec.structs.astuple(counts)
