"""Settings of a retraining, read from `jobs/config.yaml`.

A docstring under each field gives its meaning, its unit and the reason for its bounds and its value as shipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from shared import yaml_file
from shared.errors import Misconfigured

LEGITIMATE_PER_FRAUD = "legitimate_per_fraud"
"""Candidate parameter of every family: legitimate rows drawn for each fraud. Not passed to scikit-learn."""

Share = Annotated[float, Meta(gt=0.0, lt=1.0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Meta(ge=0.0)]
AboveZero = Annotated[float, Meta(gt=0.0)]
Positive = Annotated[int, Meta(ge=1)]
ModelFamily = Literal[
    "logistic_regression", "decision_tree", "random_forest", "hist_gradient_boosting", "neural_network"
]
TrainingMode = Literal["full", "incremental"]
CalibrationMethod = Literal["isotonic", "sigmoid"]


class TriggerSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """When `--trigger auto` trains: after some days, on enough new labels, or on drift."""

    days_max: AboveZero
    """Days since the last training after which a run trains in any case."""
    labels_min: Positive
    """Labels known only since the last training, by Pix and side; they count once `frauds_min` is reached too."""
    frauds_min: Positive
    """Frauds among those labels: legitimate labels alone, which arrive daily, teach little."""
    psi_max: AboveZero
    """Population stability index of the score or of a feature above which it has drifted.

    0.25 is the usual limit of a shift. Source: Siddiqi, Credit Risk Scorecards, Wiley, 2006.
    """
    drift_days_min: NonNegative
    """Days since the last training before drift counts: drift that training does not cure would train every night."""


class DatasetSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """The size of a training set, and the limits beyond which it is refused."""

    rows_max: Positive
    """Rows held in memory. Of a larger sample all frauds are read and a weighted part of the legitimate Pix."""
    sampled_a_day: Positive
    """Legitimate rows that the training sample takes of a day, on the mean. A hundred such days fill rows_max."""
    missing_rise_max: Share
    """Rise of a feature's missing share above the champion's profile that stops the run.

    An absolute difference, set high: it finds broken inputs, and drift covers smaller rises.
    """
    fraud_share_max: Share
    """Largest plausible share of frauds; far above any real one, so a higher share means broken labels."""
    left_out_max: Fraction
    """Largest share of the rows, and of the frauds, that may be left out as defective; more stop the run.

    A stored row that is bad stays for years and must not stop each training. A hundredth is more than single faults
    make, and too little to change a model.
    """


class SplitSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """The periods of a training set, in order of time: training, calibration, test."""

    calibration: Share
    """Share of the rows for calibration, thresholds and the choice between finalists."""
    test: Share
    """Share of the rows for the gate; the larger of the two, since its frauds set the width of the intervals."""
    embargo: Annotated[float, Meta(ge=0.0, lt=0.2)]
    """Share of the time span left out between periods, since a fraud campaign crosses their boundary.

    Below 0.2, as it is left out twice.
    """
    embargo_hours_min: NonNegative
    """Least embargo in hours, for short spans."""
    span_days_min: AboveZero
    """Days that the examples must span for a training."""
    frauds_min: Annotated[int, Meta(ge=2)]
    """Frauds, and legitimate Pix, needed in every period; also new frauds needed to continue the champion.

    At least 2: a single fraud measures nothing.
    """

    def __post_init__(self) -> None:
        if self.calibration + self.test >= 1:
            raise ValueError("calibration and test leave no rows to train on")


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
    grid_points: Positive = 3
    """Values that a grid takes of each range: by default both ends and the middle."""


class CostSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Costs of decisions in BRL, and the capacity for reviews.

    The values shipped are assumptions: an institution sets its own.
    """

    recovered: Fraction
    """Share of a settled fraud's amount that comes back under the MED; the rest is the cost of approving it.

    A measured share takes its place once `jobs.hops --publish` has found enough frauds.
    """
    review_detects: Fraction
    """Share of held frauds that a review finds; the others are lost as if approved."""
    review: NonNegative
    """BRL for one review."""
    friction_hold: NonNegative
    """BRL for holding a legitimate Pix, so that its payer waits, or for blocking it, so that its payee does."""
    friction_reject: NonNegative
    """BRL for rejecting a legitimate Pix: a customer is turned away."""
    review_share_max: Share
    """Largest share of the side's Pix to hold for review."""
    reviews_per_day_max: AboveZero
    """Reviews of the side that the staff can do on an average day; the smaller of the two limits holds."""


class SideCosts(Struct, frozen=True, forbid_unknown_fields=True):
    """Costs and review budget of each side; every Pix has those of the institution that asked about it."""

    payer: CostSpec
    """Of decisions by the payer's institution: a HOLD makes a customer wait for up to an hour."""
    payee: CostSpec
    """Of decisions by the payee's institution: a BLOCK keeps a customer's money for up to 72 hours."""


class GateSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Conditions for a challenger to replace the champion, or the rules if there is no champion.

    It must save money, beyond chance, and may be worse in other figures only by these margins.
    """

    resamples: Annotated[int, Meta(ge=100)]
    """Resamples of the paired bootstrap; with fewer than 100 the ends of an interval are chance."""
    confidence: Share
    """Confidence of every interval and test; the lower end of the saving's interval must be above zero."""
    average_precision_margin: NonNegative
    """Loss of average precision allowed, absolute: two runs on nearly the same rows differ by as much."""
    calibration_margin: NonNegative
    """Rise of the expected calibration error allowed, absolute."""
    alert_volume_margin: NonNegative
    """Rise of the share of Pix held or rejected allowed, relative; wide, since the saving already counts friction."""
    review_margin: NonNegative
    """Holds allowed beyond the review budget, relative to it; narrow, since reviewers' hours are fixed."""
    segment_margin: NonNegative
    """Loss allowed in the share of frauds stopped, absolute, in any segment; a larger one must be beyond chance."""
    segment_frauds_min: Positive
    """Frauds from which a segment is compared: shares of fewer are mostly noise."""
    lift_min: Annotated[float, Meta(ge=1.0)]
    """Least average precision, in multiples of the share of frauds, which a random order reaches."""
    optimism_max: Share
    """Fall of average precision from the calibration to the test period that is refused: a sign of leaking labels."""
    single_feature_max: Share
    """Average precision of one feature alone that is refused: such a feature contains the label."""


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a retraining."""

    trigger: TriggerSpec
    """When a scheduled run trains."""
    dataset: DatasetSpec
    """Size and limits of the training set."""
    split: SplitSpec
    """Periods of the training set."""
    half_life_days: AboveZero
    """Age in days that halves a legitimate row's chance to be trained on; frauds are all kept, being few."""
    candidates: Annotated[list[CandidateSpec], Meta(min_length=1)]
    """Models to try, with different names."""
    search: SearchSpec
    """How their parameters are searched."""
    modes: Annotated[list[TrainingMode], Meta(min_length=1)]
    """Ways to train, one challenger each: `full` from scratch, `incremental` from the champion's model."""
    incremental_rounds: Positive
    """Rounds of an incremental update: boosting rounds, trees, solver iterations, or most epochs, by family."""
    calibrations: Annotated[list[CalibrationMethod], Meta(min_length=1)]
    """Calibration methods; the better one on the calibration period is used."""
    costs: SideCosts
    """Costs of decisions by side, for thresholds and the gate."""
    alert_share: Share
    """Share of all Pix, highest scores first, at which reported precision and recall are taken."""
    gate: GateSpec
    """Conditions of a promotion."""
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    """Seed of every random choice, so that a run can be repeated; scikit-learn takes 32 bits."""

    def __post_init__(self) -> None:
        if len({candidate.name for candidate in self.candidates}) < len(self.candidates):
            raise ValueError("two candidates have the same name")
        if len(set(self.modes)) < len(self.modes):
            raise ValueError("modes names one of them twice")


def load(path: Path) -> Config:
    """Return the configuration in a YAML file. Raises Misconfigured."""
    try:
        tree = yaml_file.read(path)
        if infinite := [name for name, value in _numbers(tree) if math.isinf(value)]:
            raise Misconfigured(f"{path}: {infinite[0]} is infinite")
        return msgspec.convert(tree, Config)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise Misconfigured(f"{path}: {error}") from error


def _numbers(tree: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield the floats in nested mappings and lists, each with its dotted name."""
    if isinstance(tree, float):
        yield name, tree
    elif isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _numbers(value, f"{name}.{key}" if name else str(key))
