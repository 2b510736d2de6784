"""Which quota binds first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from infra.capacity.figures import Quota
from infra.capacity.plan import Plan

FEWEST, MOST = 1_000.0, 1e11
_STEPS = 60


class Bound(Struct, frozen=True):
    """A quota, what is needed of it, as a share, and the Pix a day that reach it (None: over a hundred billion)."""

    quota: Quota
    needed: float
    share: float
    reached_at: float | None


def bounds(planned: Plan, quotas: Sequence[Quota], planner: Callable[[float], Plan]) -> list[Bound]:
    """Return every quota, the one that binds first at first."""
    found = [
        Bound(quota, needed := float(getattr(planned, quota.needs)), needed / quota.limit, reached(quota, planner))
        for quota in quotas
    ]
    return sorted(found, key=lambda bound: bound.reached_at or MOST)


def reached(quota: Quota, planner: Callable[[float], Plan]) -> float | None:
    """Return the Pix a day at which a quota is used up: what is needed grows with volume, so halving finds it."""
    if _needed(quota, planner(MOST)) <= quota.limit:
        return None
    low, high = FEWEST, MOST
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if _needed(quota, planner(middle)) > quota.limit else (middle, high)
    return low


def _needed(quota: Quota, planned: Plan) -> float:
    return float(getattr(planned, quota.needs))
