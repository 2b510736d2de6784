"""Costs with a review budget of half of all Pix and 500 a day, and room for rejects."""

from __future__ import annotations

from shared.learning.specs.gate import CostSpec

COSTS = CostSpec(
    0.1,
    0.8,
    review=4,
    friction_hold=1,
    friction_hold_share=0.01,
    friction_reject=20,
    friction_reject_share=0.1,
    reject_share_max=0.5,
    reject_precision_min=0.2,
    review_share_max=0.5,
    reviews_per_day_max=500,
)
