"""Settings of the training set: when a run trains, its rows, and its periods."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.learning.specs.bounds import AboveZero, Fraction, NonNegative, Positive, Share


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
