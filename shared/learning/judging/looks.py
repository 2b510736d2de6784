"""The budget for false promotions: each look at a test period spends a part, and fresh days earn it back."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from shared.learning.specs.gate import GateSpec

_SPENT = 0.5  # of the balance, by one look
_DAY = 86_400.0  # seconds


class Look(Struct, frozen=True):
    """A test of a saving: the end of its test period in seconds, and the level that it spent."""

    until: float
    level: float


class LookBudget(Struct, frozen=True):
    """The level of the next look, and the looks before it at days of its test period."""

    level: float
    looks: int
    since: float | None
    """End of the latest period that was looked at, in seconds; None without one."""


def budget(looks: Iterable[Look], start: float, until: float, spec: GateSpec) -> LookBudget:
    """Return the budget of a look at the period from `start` to `until`, in seconds, after `looks` in order.

    Whoever looks every night at the same month finds a model that wins there by chance. So the level of a test, its
    chance to promote a model that saves nothing, is bought: half of `false_promotions` is there at first, and the
    other half is earned evenly over `false_promotions_days` days of Pix that no look has seen. A look spends half of
    the balance, so that a second one at the same days still has a level, and countless ones together at most the
    balance. In any `false_promotions_days` days the levels of all looks sum to at most `false_promotions`, which
    bounds the chance of any false promotion, however much the looks are alike (Bonferroni). A balance never exceeds
    its first value, so waiting is not rewarded.
    Source: Lan and DeMets, Discrete Sequential Boundaries for Clinical Trials, Biometrika, 1983, spends a level by
    information; Foster and Stine, Alpha-Investing, JRSS B, 2008, keeps a balance for tests without end.
    """
    first = spec.false_promotions / 2
    a_day = first / spec.false_promotions_days
    balance, latest, seen = first, None, 0
    for look in looks:
        balance = _earned(balance, latest, look.until, first, a_day) - look.level
        balance = max(balance, 0.0)
        latest = look.until if latest is None else max(latest, look.until)
        seen += look.until > start
    return LookBudget(_earned(balance, latest, until, first, a_day) * _SPENT, seen, latest)


def _earned(balance: float, latest: float | None, until: float, most: float, a_day: float) -> float:
    """Return the balance with the earnings of the days after `latest` until `until`."""
    if latest is None:
        return balance
    return min(balance + max(until - latest, 0.0) / _DAY * a_day, most)
