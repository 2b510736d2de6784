"""Settings of the gate: costs of decisions, and the conditions of a promotion."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.learning.specs.bounds import AboveZero, Fraction, NonNegative, Positive, Share


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
