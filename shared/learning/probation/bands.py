"""Whether the decisions after a swap are within the bands around the forecast of the bundle and its card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from shared.learning.data.profile import ColumnProfile, stability_of
from shared.learning.judging.live_rejects import RejectSums, too_many
from shared.learning.judging.proportions import wilson
from shared.learning.specs.gate import CostSpec
from shared.learning.specs.probation import ProbationSpec

LOOKS = ("minutes", "day")
"""The looks after a move: at its first minutes, and at its first day."""


class Seen(Struct, frozen=True):
    """The decisions of a look: all of them, those of the model, its alerts, and its scores between the edges.

    `counts` has one entry more than the profile has edges. Alerts are the Pix that the policy stops, rules included.
    `rejects` are the model's own, by side.
    """

    decided: int
    own: int
    alerts: int
    counts: list[int]
    rejects: Mapping[str, RejectSums] = {}


class Foretold(Struct, frozen=True):
    """The forecast of the bundle: the profile of its scores, and the share of alerts on its card, or None."""

    scores: ColumnProfile
    alert_share: float | None


class Findings(Struct, frozen=True):
    """The result of a look: its figures by name, and a sentence for each band that was left."""

    figures: dict[str, float]
    outside: list[str]
    is_enough: bool


def look(seen: Seen, foretold: Foretold, spec: ProbationSpec, costs: Mapping[str, CostSpec], kind: str) -> Findings:
    """Compare a look with its bands; `kind` is one of LOOKS, `costs` have the ceilings on rejects of each side."""
    figures = {"decided": float(seen.decided), "own": float(seen.own), "alerts": float(seen.alerts)}
    if seen.decided < spec.rows_min:
        return Findings(figures, [], is_enough=False)
    served = wilson(seen.own, seen.decided, spec.confidence)
    figures["served_share"] = served.value
    outside = []
    if served.interval.high < spec.served_min:
        outside.append(f"serves {served.value:.1%} of the decisions, at least {spec.served_min:.0%} should be")
    if seen.own < spec.rows_min:
        return Findings(figures, outside, is_enough=bool(outside))
    figures["psi_score"] = moved = stability_of(foretold.scores, seen.counts)
    if moved > spec.score_max:
        outside.append(f"stability index of the score {moved:.2f}, {spec.score_max:g} is allowed")
    outside += _alerts(seen, foretold, spec, kind, figures)
    outside += _rejects(seen, spec, costs, figures)
    return Findings(figures, outside, is_enough=True)


def _rejects(
    seen: Seen, spec: ProbationSpec, costs: Mapping[str, CostSpec], figures: dict[str, float]
) -> Sequence[str]:
    """Return a sentence for each side with too many good customers rejected, and add the shares to `figures`."""
    figures |= {f"good_rejected_{side.lower()}": sums.share for side, sums in seen.rejects.items()}
    found = [too_many(sums, side, costs[side], 1 - spec.confidence) for side, sums in seen.rejects.items()]
    return [each for each in found if each]


def _alerts(
    seen: Seen, foretold: Foretold, spec: ProbationSpec, kind: str, figures: dict[str, float]
) -> Sequence[str]:
    """Return a sentence if the alerts are far from those foretold, beyond chance, and add both to `figures`."""
    found = wilson(seen.alerts, seen.own, spec.confidence)
    figures["alert_share"] = found.value
    if foretold.alert_share is None or math.isnan(foretold.alert_share):
        return []
    figures["foretold_alert_share"] = expected = foretold.alert_share
    ratio = spec.alerts_ratio_minutes if kind == LOOKS[0] else spec.alerts_ratio_day
    if found.interval.low > expected * ratio or found.interval.high < expected / ratio:
        allowed = f"{expected / ratio:.3%} to {expected * ratio:.3%} is allowed"
        return [f"stops {found.value:.3%} of its Pix, the gate foretold {expected:.3%}; {allowed}"]
    return []
