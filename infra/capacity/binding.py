"""Rank quotas by the volume at which each of them binds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from infra.capacity.figures import Quota
from infra.capacity.plan import Plan

PIX_MIN, PIX_MAX = 1_000.0, 1e11
_STEPS = 60


class Bound(Struct, frozen=True):
    """A quota beside its use at a volume."""

    quota: Quota
    needed: float
    share: float
    reached_at: float | None
    """Pix a day that exhaust the quota; None above a hundred billion."""


def bounds(planned: Plan, quotas: Sequence[Quota], planner: Callable[[float], Plan]) -> list[Bound]:
    """Return every quota in the order in which they bind."""
    found = [
        Bound(quota, needed := float(getattr(planned, quota.needs)), needed / quota.limit, reached(quota, planner))
        for quota in quotas
    ]
    return sorted(found, key=lambda bound: bound.reached_at or PIX_MAX)


def reached(quota: Quota, planner: Callable[[float], Plan]) -> float | None:
    """Return the Pix a day that exhaust a quota, None above PIX_MAX. Bisection works as use grows with volume."""
    if _needed(quota, planner(PIX_MAX)) <= quota.limit:
        return None
    low, high = PIX_MIN, PIX_MAX
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if _needed(quota, planner(middle)) > quota.limit else (middle, high)
    return low


def _needed(quota: Quota, planned: Plan) -> float:
    return float(getattr(planned, quota.needs))
