"""Settings of a retraining, read from `jobs/config.yaml`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from shared.errors import Misconfigured

Share = Annotated[float, Meta(gt=0.0, lt=1.0)]
LEGITIMATE_PER_FRAUD = "legitimate_per_fraud"
"""A parameter of every family, which scikit-learn does not know."""
NonNegative = Annotated[float, Meta(ge=0.0)]
Positive = Annotated[int, Meta(ge=1)]
ModelFamily = Literal[
    "logistic_regression", "decision_tree", "random_forest", "hist_gradient_boosting", "neural_network"
]
TrainingMode = Literal["full", "incremental"]
CalibrationMethod = Literal["isotonic", "sigmoid"]


class TriggerSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """When a run that decides by itself trains: after so many days, or so many newly matured labels, or drift.

    `labels_min` counts labels that became known since the last training, `frauds_min` the frauds among them; both
    must be reached. `psi_max` is the population stability index from which the score or a feature has drifted. Drift
    counts from `drift_days_min` days after the last training: what a training does not cure would train every night.
    """

    days_max: Annotated[float, Meta(gt=0.0)]
    labels_min: Positive
    frauds_min: Positive
    psi_max: Annotated[float, Meta(gt=0.0)]
    drift_days_min: Annotated[float, Meta(ge=0.0)]


class DatasetSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What a training set may be.

    Above `rows_max`, legitimate Pix are sampled and weigh more instead. `missing_rise_max` is how much the missing
    share of a feature may exceed the champion's profile, `fraud_share_max` the largest plausible share of frauds.
    """

    rows_max: Positive
    missing_rise_max: Share
    fraud_share_max: Share


class SplitSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of the rows for calibration and test; the embargo is a share of the time span, with a minimum."""

    calibration: Share
    test: Share
    embargo: Annotated[float, Meta(ge=0.0, lt=0.2)]
    embargo_hours_min: Annotated[float, Meta(ge=0.0)]
    span_days_min: Annotated[float, Meta(gt=0.0)]
    frauds_min: Annotated[int, Meta(ge=2)]

    def __post_init__(self) -> None:
        if self.calibration + self.test >= 1:
            raise ValueError("calibration and test leave no rows to train on")


class ParameterRange(Struct, frozen=True, forbid_unknown_fields=True):
    """A range to search: between `low` and `high`, on a logarithmic scale if `log`, whole numbers if both are."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic scale begins above zero")


class CandidateSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A model to try: its name, its family, scikit-learn's parameters, and which of them to search.

    `search` gives for a parameter either the list of its values or their range; `params` are the first trial. Besides
    scikit-learn's, every family has `legitimate_per_fraud`: so many legitimate rows are drawn for each fraud.
    """

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$")]
    family: ModelFamily
    params: dict[str, Any] = {}
    search: dict[str, list[Any] | ParameterRange] = {}

    def __post_init__(self) -> None:
        drawn = self.params.get(LEGITIMATE_PER_FRAUD, 1)
        if not isinstance(drawn, int | float) or drawn <= 0:
            raise ValueError(f"{self.name}: {LEGITIMATE_PER_FRAUD} is a number above zero")
        for name, space in self.search.items():
            if name not in self.params:
                raise ValueError(f"{self.name}: params lack {name}, which is searched, so there is no first trial")
            if not _lies_in(self.params[name], space):
                raise ValueError(f"{self.name}: {name} is searched, but its first value is not among those to try")


def _lies_in(value: Any, space: list[Any] | ParameterRange) -> bool:
    return space.low <= value <= space.high if isinstance(space, ParameterRange) else value in space


class SearchSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """How to search: `trials` in all, each on `folds` forward-chaining folds of at most `rows_max` rows.

    `bayesian` is Optuna's tree-structured Parzen estimator. A grid takes `grid_points` values of each range.
    """

    method: Literal["grid", "random", "bayesian"]
    trials: Positive
    folds: Positive
    rows_max: Positive
    grid_points: Positive = 3


class CostSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What decisions cost, in BRL, and what reviewers can do.

    `recovered` is the share of a settled fraud that comes back under the MED, `review_detects` the share of frauds
    that a review of a held Pix finds. Of all Pix at most `review_share_max`, and on an average day at most
    `reviews_per_day_max`, may be held for review.
    """

    recovered: Annotated[float, Meta(ge=0.0, le=1.0)]
    review_detects: Annotated[float, Meta(ge=0.0, le=1.0)]
    review: NonNegative
    friction_hold: NonNegative
    friction_reject: NonNegative
    review_share_max: Share
    reviews_per_day_max: Annotated[float, Meta(gt=0.0)]


class GateSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What a challenger must show, and how much worse it may be than what serves.

    The lower end of the interval of its saving at `confidence`, by a paired bootstrap of `resamples`, must be above
    zero. The margins: average precision and calibration error absolute, alert volume relative, holds beyond the
    budget of reviews relative to it (`review_margin`), and for every segment with `segment_frauds_min` frauds the
    share of them that is stopped, absolute, unless a sign test at `confidence`, which holds for all segments at once,
    lets it be chance. `lift_min` is the least average precision in multiples of the share of frauds, which is what
    chance reaches. What is too good to be true is refused: an average precision that falls from the calibration
    period to the last one by more than `optimism_max`, or one feature that by itself reaches an average precision of
    `single_feature_max`.
    """

    resamples: Annotated[int, Meta(ge=100)]
    confidence: Share
    average_precision_margin: Annotated[float, Meta(ge=0.0)]
    calibration_margin: Annotated[float, Meta(ge=0.0)]
    alert_volume_margin: Annotated[float, Meta(ge=0.0)]
    review_margin: Annotated[float, Meta(ge=0.0)]
    segment_margin: Annotated[float, Meta(ge=0.0)]
    segment_frauds_min: Positive
    lift_min: Annotated[float, Meta(ge=1.0)]
    optimism_max: Share
    single_feature_max: Share


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a retraining.

    `modes` are the ways to train: all anew, or the champion's model continued by `incremental_rounds` on new rows.
    Of `calibrations` the better one on the calibration period is taken. `alert_share` is the alert budget of figures.
    """

    trigger: TriggerSpec
    dataset: DatasetSpec
    split: SplitSpec
    half_life_days: Annotated[float, Meta(gt=0.0)]
    candidates: Annotated[list[CandidateSpec], Meta(min_length=1)]
    search: SearchSpec
    modes: Annotated[list[TrainingMode], Meta(min_length=1)]
    incremental_rounds: Positive
    calibrations: Annotated[list[CalibrationMethod], Meta(min_length=1)]
    costs: CostSpec
    alert_share: Share
    gate: GateSpec
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0

    def __post_init__(self) -> None:
        if len({candidate.name for candidate in self.candidates}) < len(self.candidates):
            raise ValueError("two candidates have the same name")
        if len(set(self.modes)) < len(self.modes):
            raise ValueError("a mode is named twice")


def load(path: Path) -> Config:
    """Return the configuration in a YAML file. Raises Misconfigured."""
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
        if infinite := [name for name, value in _numbers(tree) if math.isinf(value)]:
            raise Misconfigured(f"{path}: {infinite[0]} is infinite")
        return msgspec.convert(tree, Config)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise Misconfigured(f"{path}: {error}") from error


def _numbers(tree: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield the floats in nested mappings and lists, and where they stand."""
    if isinstance(tree, float):
        yield name, tree
    elif isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _numbers(value, f"{name}.{key}" if name else str(key))
