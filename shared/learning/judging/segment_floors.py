"""Check that no segment of customers is protected less than before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.config import GateSpec
from shared.learning.judging.checks import GateCheck
from shared.learning.judging.clusters import Clusters
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.proportions import adjusted, chance_of_loss
from shared.learning.judging.segments import Dimension
from shared.scoring.rules import Decision


class _Change(NamedTuple):
    """The change in the share of a segment's frauds that is stopped, and the p-value of a loss of that size."""

    label: str
    frauds: int
    share: float
    chance: float


def segment_floors(
    challenger: Contender, incumbent: Contender, period: TestPeriod, spec: GateSpec
) -> list[GateCheck]:
    """Check for each dimension that in no segment clearly more frauds pass than with the incumbent.

    A loss is clear if it exceeds the margin and is significant (sign test on the frauds that only one of them stops;
    the Pix of a campaign are one observation).
    The level holds for all segments of all dimensions together (Holm): among dozens, equal models differ in some.
    """
    fraud, campaign = period.truth.fraud, period.campaign[period.truth.fraud]
    new, old = (one.scored.decisions[fraud] != Decision.APPROVE for one in (challenger, incumbent))
    change = new.astype(np.int8) - old.astype(np.int8)
    found = [_changes(one, one.codes[fraud], campaign, change, spec.segment_frauds_min) for one in period.dimensions]
    chances = iter(adjusted([one.chance for changes in found for one in changes]).tolist())
    sure = [[one._replace(chance=next(chances)) for one in changes] for changes in found]
    return [_segment_floor(one.title, changes, spec) for one, changes in zip(period.dimensions, sure, strict=True)]


def _changes(
    dimension: Dimension,
    codes: NDArray[np.intp],
    campaign: NDArray[np.intp],
    change: NDArray[np.int8],
    frauds_min: int,
) -> list[_Change]:
    """Return the changes in segments with enough frauds.

    `codes`, `campaign` and `change` are the segment, the campaign and the change of each fraud, [frauds]: 1 if only
    the challenger stops it, -1 if only the incumbent does.
    """
    size = len(dimension.labels)
    frauds, net = np.bincount(codes, minlength=size), np.bincount(codes, weights=change, minlength=size)
    clusters = Clusters.of(campaign, codes)
    total = clusters.totals(change)
    more, less = (np.bincount(clusters.codes[one], minlength=size) for one in (total > 0, total < 0))
    return [
        _Change(
            label,
            int(frauds[code]),
            float(net[code] / frauds[code]),
            chance_of_loss(int(more[code]), int(less[code])),
        )
        for code, label in enumerate(dimension.labels)
        if frauds[code] >= frauds_min
    ]


def _segment_floor(title: str, changes: Sequence[_Change], spec: GateSpec) -> GateCheck:
    name = f"segments by {title}"
    if not changes:
        text = f"no segment has {spec.segment_frauds_min} frauds, too few to compare any"
        return GateCheck(name, True, None, -spec.segment_margin, text)
    level = (1 - spec.confidence) / 2  # one-sided, as only losses count
    clear = [change for change in changes if change.share < -spec.segment_margin and change.chance < level]
    worst = min(clear or changes, key=lambda change: change.share)
    of = f"{worst.label!r}, {worst.share:+.1%} of {worst.frauds} frauds stopped"
    text = f"{name}: clearly worse in {of}" if clear else f"no clear loss; the lowest change is in {of}"
    return GateCheck(name, not clear, worst.share, -spec.segment_margin, text)
