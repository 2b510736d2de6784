"""The ceilings on rejects, held on live traffic: by the calibrated scores at once, and by labels as they come.

As in the gate (`ceilings`), only a reject by the model itself counts: a Pix that a rule rejects anyway does not.
A row tells it by its reasons, which have the code of each rule that fired. The share of good customers is that of
`monitoring.estimate`: a Pix of score p is a legitimate one with probability 1 - p. The score function counts the same
sums as it decides (`pix.good`, `pix.good.rejected`).
"""

from __future__ import annotations

from msgspec import Struct

from shared.learning.judging.proportions import chance_of_share
from shared.learning.specs.gate import CostSpec
from shared.scoring.rules import Rules


class RejectSums(Struct, frozen=True):
    """Legitimate Pix of a side by the scores: all of them, and those that the model rejects by itself."""

    good: float = 0.0
    good_rejected: float = 0.0

    @property
    def share(self) -> float:
        """The share of legitimate Pix rejected by the model, 0 without any."""
        return self.good_rejected / self.good if self.good else 0.0

    def plus(self, other: RejectSums) -> RejectSums:
        """Return the sums of both."""
        return RejectSums(self.good + other.good, self.good_rejected + other.good_rejected)


def too_many(sums: RejectSums, side: str, spec: CostSpec, level: float) -> str | None:
    """Return a sentence if more good customers of a side are rejected than the ceiling allows, beyond chance.

    A Pix counts by a part of one, whose sum varies less than a count does: the test is stricter than its level.
    """
    limit = spec.reject_share_max
    if sums.share <= limit or chance_of_share(sums.good_rejected, sums.good, limit) >= level:
        return None
    return (
        f"rejects {sums.share:.3%} of good customers on the {side.lower()}'s side by its scores; at most {limit:.3%}"
    )


def too_imprecise(confirmed: float, judged: float, side: str, spec: CostSpec, level: float) -> str | None:
    """Return a sentence if too few of the judged rejects of a side are frauds for the ceiling, beyond chance."""
    least = spec.reject_precision_min
    if not judged or confirmed >= least * judged:
        return None
    if chance_of_share(judged - confirmed, judged, 1 - least) >= level:
        return None
    of = f"{judged:,.0f} rejects with a label on the {side.lower()}'s side"
    return f"rejects too few frauds: {confirmed / judged:.1%} of its {of} are; at least {least:.0%} must be"


def own_reject_sql(decision: str, rules: Rules) -> str:
    """Return the GoogleSQL of whether a row's model rejects by itself; `decision` is the expression of a decision.

    A rule that only holds where it would reject, as a feature is missing, hides a reject of the model.

    >>> own_reject_sql("decision", Rules([]))
    "(decision = 'REJECT')"
    """
    codes = sorted(rules.reject_codes)
    if not codes:
        return f"({decision} = 'REJECT')"
    named = ", ".join(f"'{code}'" for code in codes)
    by_rule = f"EXISTS (SELECT 1 FROM UNNEST(reasons) AS code WHERE code IN ({named}))"  # noqa: S608 (codes of our own file)
    return f"({decision} = 'REJECT' AND NOT {by_rule})"
