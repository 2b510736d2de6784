"""Settings of the search: model families, their parameters, and the folds that compare them."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from shared.learning.specs.bounds import Positive

LEGITIMATE_PER_FRAUD = "legitimate_per_fraud"
"""Candidate parameter of every family: legitimate rows drawn for each fraud, of its week. Not scikit-learn's."""

LEAVES_MAX = 8
"""Leaves of a boosted tree: one of at most 8 has 7 tests, and so at most 128 outcomes with exact contributions each.

It costs little if there are more of them: on the stream of the Fraud Detection Handbook (`make bench-quality`) 150
trees of 15 leaves reach an average precision of .741, 150 to 250 of 8 leaves .735, and 300 of these .740.
"""

_SPARK_DEPTH = 5  # default of pyspark.ml
_XGBOOST_DEPTH = 6  # default of XGBoost
ModelFamily = Literal[
    "logistic_regression", "decision_tree", "random_forest", "hist_gradient_boosting", "neural_network"
]


class ParameterRange(Struct, frozen=True, forbid_unknown_fields=True):
    """A range of parameter values to search; integers if both ends are."""

    low: float
    """Least value, included."""
    high: float
    """Greatest value, included."""
    log: bool = False
    """Whether to search on a logarithmic scale, as suits a parameter that spans orders of magnitude."""

    def __post_init__(self) -> None:
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic scale begins above zero")


class CandidateSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A model to try."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$")]
    """Unique name; without dots or spaces, as it is part of the names of search dimensions and runs."""
    family: ModelFamily
    """The scikit-learn estimator behind it, one of `training.families`."""
    params: dict[str, Any] = {}
    """Parameters of the first trial: scikit-learn's, and `legitimate_per_fraud`."""
    search: dict[str, list[Any] | ParameterRange] = {}
    """Values or range to search, by parameter; each must contain the value in `params`."""

    def __post_init__(self) -> None:
        drawn = self.params.get(LEGITIMATE_PER_FRAUD, 1)
        if not isinstance(drawn, int | float) or drawn <= 0:
            raise ValueError(f"{self.name}: {LEGITIMATE_PER_FRAUD} must be a number above zero")
        for name, space in self.search.items():
            if name not in self.params:
                raise ValueError(f"{self.name}: {name} is searched but missing in params, which are the first trial")
            if not _contains(space, self.params[name]):
                raise ValueError(f"{self.name}: the value of {name} in params is not in its search space")
        if self.family == "hist_gradient_boosting" and not self._leaves() <= LEAVES_MAX:
            raise ValueError(f"{self.name}: max_leaf_nodes above {LEAVES_MAX} leaves no exact reasons")

    def _leaves(self) -> float:
        """Return the most leaves of a tree that its parameters allow."""
        space = self.search.get("max_leaf_nodes", [])
        searched = [space.high] if isinstance(space, ParameterRange) else space
        most = [self.params.get("max_leaf_nodes", LEAVES_MAX), *searched]
        return max(math.inf if each is None else float(each) for each in most)


class AllRowsCandidate(Struct, frozen=True, forbid_unknown_fields=True):
    """A model that Spark fits to all rows of a period, not to a sample of them."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$")]
    """Unique name, as of other candidates."""
    family: Literal["gradient_boosted_trees", "random_forest", "xgboost"]
    """The classifier behind it: of pyspark.ml, or XGBoost's boosted trees."""
    params: dict[str, Any] = {}
    """Its parameters by their names in pyspark.ml or XGBoost; without one, the default there."""

    def __post_init__(self) -> None:
        if not self._leaves() <= LEAVES_MAX:
            limit = "max_leaves or max_depth" if self.family == "xgboost" else "maxDepth"
            raise ValueError(f"{self.name}: {limit} must leave at most {LEAVES_MAX} leaves, for exact reasons")

    def _leaves(self) -> float:
        """Return the most leaves of a boosted tree that its parameters allow, 0 for a forest."""
        if self.family == "random_forest":
            return 0
        if self.family == "gradient_boosted_trees":
            return float(2 ** self.params.get("maxDepth", _SPARK_DEPTH))
        depth, leaves = self.params.get("max_depth", _XGBOOST_DEPTH), self.params.get("max_leaves", 0)
        return min(2**depth if depth else math.inf, leaves or math.inf)  # 0 stands for no limit


def _contains(space: list[Any] | ParameterRange, value: Any) -> bool:
    return space.low <= value <= space.high if isinstance(space, ParameterRange) else value in space


class SearchSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """How to search the candidates' parameters."""

    method: Literal["grid", "random", "bayesian"]
    """How trials after each candidate's first are chosen; `bayesian` is Optuna's tree-structured Parzen estimator."""
    trials: Positive
    """Trials of all candidates together, their first ones included; a smaller grid ends earlier."""
    folds: Positive
    """Forward-chaining folds of the training period, each trial's average precision being their mean."""
    rows_max: Positive
    """Rows of either side of a fold, all frauds among them. Bounds the time of a trial, not the final fit."""
    at_once: Positive = 1
    """Trials asked for at a time, of which none knows the results of the others: `--engine spark` fits all of their
    folds at once. The leaderboard depends on it, and not on the engine."""
    grid_points: Positive = 3
    """Values that a grid takes of each range: by default both ends and the middle."""
