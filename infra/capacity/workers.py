"""Workers that pull, in place of functions that Pub/Sub pushes to: their number and their cost."""

from __future__ import annotations

import math

from msgspec import Struct

from infra.capacity.cost import MEMORY_GIB, OUTCOME_MEMORY_GIB, SECONDS
from infra.capacity.figures import Known, Prices
from infra.capacity.plan import INSTANCES_MIN, Plan

BUSY = 0.7
"""Planned share of busy time of a worker in the busiest second; a backlog makes its batches larger, and cheaper."""


class Workers(Struct, frozen=True):
    """Workers of one vCPU for the busiest second, kept all month, as a pool does not scale by its backlog."""

    score: int
    outcome: int
    usd_a_month: float
    """In place of `Cost.cloud_run`: there are no requests to pay for."""


def workers(plan: Plan, known: Known, prices: Prices) -> Workers:
    """Size the worker pools of a plan."""
    cores = plan.peak_pix_s * known.measured.pull_cpu_s.value * known.assumed.processor_ratio.value
    work = known.assumed.outcomes_per_pix.value * known.assumed.outcome_work.value
    score, outcome = max(INSTANCES_MIN, math.ceil(cores / BUSY)), max(1, math.ceil(cores * work / BUSY))
    price = prices.cloud_run
    of_second = score * (price.worker_vcpu_second + MEMORY_GIB * price.worker_gib_second)
    of_second += outcome * (price.worker_vcpu_second + OUTCOME_MEMORY_GIB * price.worker_gib_second)
    return Workers(score, outcome, of_second * SECONDS * price.region_factor)
