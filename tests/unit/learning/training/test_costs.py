"""Costs of decisions, with rules."""

from __future__ import annotations

import numpy as np

from shared.learning.training.costs import decision_costs, with_rules
from tests.unit.learning.training.costs import COSTS


def test_costs_are_those_of_the_severer_decision_of_rule_and_model() -> None:
    table = decision_costs(np.array([True, False]), np.array([100.0, 100.0]), COSTS)
    seen = with_rules(table, np.array([1, 2], np.int8))
    np.testing.assert_allclose(seen, [[table[0, 1], table[0, 1], table[0, 2]], [table[1, 2]] * 3])
