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
from shared.learning.contest_spec import ContestSpec
from shared.learning.drift_spec import DriftSpec
from shared.learning.probation_spec import ProbationSpec
from shared.learning.ramp_config import RampSpec

LEGITIMATE_PER_FRAUD = "legitimate_per_fraud"
"""Candidate parameter of every family: legitimate rows drawn for each fraud, of its week. Not scikit-learn's."""

LEAVES_MAX = 8
"""Leaves of a boosted tree: one of at most 8 has 7 tests, and so at most 128 outcomes with exact contributions each.

It costs little if there are more of them: on the stream of the Fraud Detection Handbook (`make bench-quality`) 150
trees of 15 leaves reach an average precision of .741, 150 to 250 of 8 leaves .735, and 300 of these .740.
"""

_SPARK_DEPTH = 5  # default of pyspark.ml
_LARGEST = 1e12  # a number of a configuration: no cost in BRL, no count and no time comes near
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
    drift_days_min: NonNegative
    """Days since the last training before drift, or a fall of performance, counts: one that training does not cure
    would train every night."""


class DatasetSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """The size of a training set, and the limits beyond which it is refused."""

    rows_max: Positive
    """Rows held in memory. Of a larger sample all frauds are read and a weighted part of the legitimate Pix."""
    sampled_a_day: Positive
    """Legitimate rows that the training sample takes of a day, on the mean. A hundred such days fill rows_max."""
    window_days: AboveZero
    """Days before the latest matured Pix that are read; three years leave the choice of periods free.

    Frauds of years ago are of another world, and one Pix that is dated years back must not stretch a training set.
    """
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
    label_weight_max: Annotated[float, Meta(ge=1.0)]
    """Most decisions for which one labelled row stands, as the others like it were stopped (see `label_chance`).

    A single row that stands for a hundred would decide a model by itself. Twenty leave some bias where
    the control group lets through fewer than one in twenty, for far less variance; the card says how much is cut, and
    the gate counts that part among the unjudged. 1 learns labels as they are.
    Source: Ionides, Truncated Importance Sampling, Journal of Computational and Graphical Statistics, 2008.
    """
    unjudged_max: Positive
    """Most rows without a label of the test period that the gate reads; of more it reads a weighted sample."""


class SplitSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """The periods of a training set, in order of time: training, calibration, test.

    Lengths of time, not shares of the rows: as shares, the newest training row of five years would be two years old.
    """

    test_weeks: AboveZero
    """Weeks for the gate, the newest ones; the longer of the two, since its frauds set the width of the intervals."""
    calibration_weeks: AboveZero
    """Weeks before, for calibration, thresholds and the choice between finalists."""
    training_days: AboveZero
    """Days before, to train on; older examples are left out.

    Frauds are few: on two simulated worlds of 900 days, whose frauds do not change, the last 365 days reach an
    average precision of .588, the last 540 of .598, and all of them .607. Where fraud does change, set fewer.
    """
    embargo_days: NonNegative
    """Days left out between periods, and between the sides of a fold, since a fraud campaign crosses the boundary."""
    embargo_hours_min: NonNegative
    """Least embargo in hours, where few days shorten it."""
    whole_days: AboveZero
    """Days of examples from which these lengths hold; of fewer days all but the training take the same share.

    Of 180 days the three of them take 39 %, so 61 % are left to train on, however few there are.
    """
    span_days_min: AboveZero
    """Days that the examples must span for a training."""
    frauds_min: Annotated[int, Meta(ge=2)]
    """Frauds, and legitimate Pix, needed in every period; also new frauds needed to continue the champion.

    At least 2: a single fraud measures nothing.
    """

    def __post_init__(self) -> None:
        if 7 * (self.test_weeks + self.calibration_weeks) + 2 * self.embargo_days >= self.whole_days:
            raise ValueError("calibration, test and embargoes leave no days to train on")


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
    family: Literal["gradient_boosted_trees", "random_forest"]
    """The classifier of pyspark.ml behind it."""
    params: dict[str, Any] = {}
    """Its parameters by their names in pyspark.ml; without one, Spark's default."""

    def __post_init__(self) -> None:
        if self.family == "gradient_boosted_trees" and 2 ** self.params.get("maxDepth", _SPARK_DEPTH) > LEAVES_MAX:
            raise ValueError(f"{self.name}: maxDepth must leave at most {LEAVES_MAX} leaves, for exact reasons")


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
    friction_hold_share: Fraction
    """Share of the amount that holding a legitimate Pix costs in addition: who waits for more is annoyed more."""
    friction_reject: NonNegative
    """BRL for rejecting a legitimate Pix: a customer is turned away."""
    friction_reject_share: Fraction
    """Share of the amount that rejecting a legitimate Pix costs in addition: a sale, or a rent that is paid late."""
    reject_share_max: Share
    """Largest share of the side's legitimate Pix that the model rejects, beside those that the rules reject anyway.

    Of legitimate Pix, not of all: where frauds are many, a bound on all rejects would let known frauds pass. Pix
    that a norm rejects leave the model's own errors as dear as they are, so they do not count.
    """
    reject_precision_min: Share
    """Least share of frauds among the Pix that the model rejects; below it a reviewer should look first."""
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

    @property
    def by_side(self) -> dict[str, CostSpec]:
        """The costs by the name of the side in rows."""
        return {"PAYER": self.payer, "PAYEE": self.payee}


class GateSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Conditions for a challenger to replace the champion, or the rules if there is no champion.

    It must save money, beyond chance, and may be worse in other figures only by these margins. The ceilings on
    rejects are those of the costs.
    """

    resamples: Annotated[int, Meta(ge=100)]
    """Resamples of the bootstrap of figures; with fewer than 100 the ends of an interval are chance."""
    confidence: Share
    """Confidence of every interval and test but that of the saving, whose level the looks so far determine."""
    frauds_min: Positive
    """Frauds of the test period, as many of equal weight, below which the verdict is too few to say.

    Of some twenty a truly dearer model was promoted in a third of the cases: the sample often lacks the rare large
    loss. The check is of the period, not of the size of an effect, as few frauds do not show how little they show.
    """
    false_promotions: Share
    """Largest chance of promoting any model that saves nothing, over `false_promotions_days` of looks."""
    false_promotions_days: AboveZero
    """Days of fresh Pix over which that chance holds, however many looks are taken at them."""
    record_months: AboveZero
    """Months of earlier champions in the ledger whose best ranking bounds the loss of average precision."""
    average_precision_margin: Share
    """Loss of average precision allowed, relative to the champion's and to the best one on record."""
    calibration_ratio_max: Annotated[float, Meta(gt=1.0)]
    """Frauds expected by the scores over frauds seen, or the inverse, that is refused if it is beyond chance.

    Thresholds are set by probabilities: twice too high, and twice as dear stops pay.
    """
    calibration_slope_min: Share
    """Slope of the log-odds that is refused if it is beyond chance: scores below it are far too extreme."""
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


class SuspicionSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """When a challenger that passed the gate is not promoted before a person has looked: a feature may be a label.

    A feature tells a fraud apart if it ranks it above all but a thousandth of the legitimate Pix.
    """

    told_max: Share
    """Share of the frauds that a feature may tell which the champion lacks; the best of a simulated stream: 30 %."""
    together_max: Share
    """Share that the best three features may tell between them, without a champion; on that stream it is 46 %."""
    told_rise_max: Share
    """Rise of either share above the champion's, absolute, if beyond chance: honest features change by less."""
    importance_rise_max: Share
    """Rise of the share of one feature in the scores of frauds, absolute; models of another family differ by less."""


class ComparisonSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """When the comparisons of served features with replayed ones (`jobs.skew --record`) make a person look."""

    differing_max: Fraction
    """Share of compared rows whose served features may differ from a replay: a record that the store dropped on the
    very day shows as one, and so few teach a model nothing."""
    uncompared_max: Fraction
    """Share of the test period whose served features may not have been compared: a night's run may fail."""


class RefitSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """How far a refit on the newest rows may differ from the fit that the gate approved."""

    psi_max: AboveZero
    """Largest stability index between the scores of both on rows that neither was trained on."""
    ratio_max: Annotated[float, Meta(gt=1.0)]
    """Largest ratio, either way, of the frauds expected by both, and of the Pix stopped by both."""
    correlation_min: Share
    """Least correlation of the log-odds of both on rows that neither was trained on.

    Of refits of a hundred simulated days, whose fits ranked frauds alike, the lowest had .82; longer ones have more.
    """


class Retention(Struct, frozen=True, forbid_unknown_fields=True):
    """The bundles to retain beside those in the pointer: the last `keep`, and those in the ledger of `days`."""

    keep: Annotated[int, Meta(ge=0)] = 10
    """Complete bundles, the newest ones: some weeks of retraining."""
    days: Annotated[float, Meta(ge=0.0)] = 365.0
    """Days for which a bundle that the ledger names can be promoted again."""


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a retraining."""

    trigger: TriggerSpec
    """When a scheduled run trains."""
    dataset: DatasetSpec
    """Size and limits of the training set."""
    split: SplitSpec
    """Periods of the training set."""
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
    suspicion: SuspicionSpec
    """When a promotion waits for a person, as a feature may be a label."""
    comparison: ComparisonSpec
    """When a promotion waits for a person, as features may not have been served as a replay computes them."""
    drift: DriftSpec
    """When the score or a feature has drifted, for `jobs.drift`."""
    probation: ProbationSpec
    """The limits of a model right after it begins to serve, for `jobs.probation`."""
    contest: ContestSpec
    """When a challenger that is tried on live traffic is better or worse, for `jobs.compare`."""
    refit: RefitSpec
    """Conditions for the refit of an approved challenger to serve in its place."""
    ramp: RampSpec
    """Steps and guards of tests on live traffic, for `jobs.challenge`."""
    all_rows: list[AllRowsCandidate] = []
    """Candidates of `--engine spark` beside `candidates`: not searched, but compared with the best of those on the
    calibration period."""
    retention: Retention = Retention()
    """Bundles that stay; a retraining lists the others in the pointer, and `jobs.retire` deletes those listed."""
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    """Seed of every random choice, so that a run can be repeated; scikit-learn takes 32 bits."""

    def __post_init__(self) -> None:
        names = [*(one.name for one in self.candidates), *(one.name for one in self.all_rows)]
        if len(set(names)) < len(names):
            raise ValueError("two candidates have the same name")
        if len(set(self.modes)) < len(self.modes):
            raise ValueError("modes names one of them twice")


def load(path: Path) -> Config:
    """Return the configuration in a YAML file. Raises Misconfigured."""
    try:
        tree = yaml_file.read(path)
        if wild := [(name, value) for name, value in _numbers(tree) if not abs(value) <= _LARGEST]:
            raise Misconfigured(f"{path}: {wild[0][0]} is {wild[0][1]}; no number may be above {_LARGEST:.0e}")
        return msgspec.convert(tree, Config)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise Misconfigured(f"{path}: {error}") from error


def _numbers(tree: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers in nested mappings and lists, each with its dotted name."""
    if isinstance(tree, int | float):
        yield name, tree
    elif isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _numbers(value, f"{name}.{key}" if name else str(key))
