"""Costs of decisions, in BRL."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.learning.specs.gate import CostSpec, SideCosts


def decision_costs(fraud: NDArray[Any], amount: NDArray[np.float64], spec: CostSpec) -> NDArray[np.float64]:
    """Return the costs of APPROVE, HOLD and REJECT for each Pix, float64 [n, 3].

    `fraud` [n] holds labels, or probabilities of fraud for expected costs, in which each cost is linear. The costs
    are example-dependent.
    Source: Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001.

    >>> spec = CostSpec(0.1, 0.8, 5, 1, 0.01, 20, 0.1, 0.002, 0.3, review_share_max=0.01, reviews_per_day_max=9)
    >>> decision_costs(np.array([True, False]), np.array([100.0, 100.0]), spec).round(2).tolist()
    [[90.0, 23.0, 0.0], [0.0, 7.0, 30.0]]
    """
    bad = fraud.astype(np.float64)
    lost = bad * amount * (1 - spec.recovered)
    waiting = spec.friction_hold + spec.friction_hold_share * amount
    held = spec.review + lost * (1 - spec.review_detects) + (1 - bad) * waiting
    return np.column_stack([lost, held, (1 - bad) * (spec.friction_reject + spec.friction_reject_share * amount)])


def decision_costs_by_side(
    fraud: NDArray[Any], amount: NDArray[np.float64], payees: NDArray[np.bool_], costs: SideCosts
) -> NDArray[np.float64]:
    """Return the costs of decisions for each Pix, float64 [n, 3], those of the payee's side where `payees` [n]."""
    of_payer, of_payee = (decision_costs(fraud, amount, spec) for spec in (costs.payer, costs.payee))
    return np.where(payees[:, None], of_payee, of_payer)


def with_rules(table: NDArray[np.float64], by_rule: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return the costs of the model's decisions where a rule's severer decision overrides them, float64 [n, 3]."""
    rows = np.arange(len(table))
    return np.column_stack([table[rows, np.maximum(by_rule, decision)] for decision in range(3)])
