"""Check that no segment of customers is protected less than before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.judging.checks import GateCheck
from shared.learning.judging.clusters import Clusters
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.proportions import adjusted, chance_of_loss, changes, effective_cases
from shared.learning.judging.segments import Dimension
from shared.learning.specs.gate import GateSpec
from shared.scoring.rules import Decision


class _Change(NamedTuple):
    """The change in the share of a segment's frauds that is stopped, and the p-value of a loss of that size.

    `frauds` is their number as if all had equal weight.
    """

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
    rows = _Frauds(new.astype(np.int8) - old.astype(np.int8), period.weight[fraud], campaign)
    found = [_changes(one, one.codes[fraud], rows, spec.segment_frauds_min) for one in period.dimensions]
    chances = iter(adjusted([one.chance for changes in found for one in changes]).tolist())
    sure = [[one._replace(chance=next(chances)) for one in changes] for changes in found]
    return [_segment_floor(one.title, changes, spec) for one, changes in zip(period.dimensions, sure, strict=True)]


class _Frauds(NamedTuple):
    """Frauds of a period, each [frauds]: `change` is 1 if only the challenger stops it, -1 if only the incumbent."""

    change: NDArray[np.int8]
    weight: NDArray[np.float64]
    campaign: NDArray[np.intp]


def _changes(dimension: Dimension, codes: NDArray[np.intp], rows: _Frauds, frauds_min: int) -> list[_Change]:
    """Return the changes in segments with enough frauds; `codes` [frauds] are their segments."""
    size = len(dimension.labels)
    summed = (rows.weight, rows.weight**2, rows.weight * rows.change)
    weights, squares, net = (np.bincount(codes, of, size) for of in summed)
    frauds = np.divide(weights**2, squares, out=np.zeros(size), where=squares > 0)
    clusters = Clusters.of(rows.campaign, codes)
    by_cluster = changes(rows.change, rows.weight, clusters.cluster, len(clusters.codes))
    more, less, spread = (np.bincount(clusters.codes, part, size) for part in by_cluster)
    found = []
    for code, label in enumerate(dimension.labels):
        if frauds[code] >= frauds_min:
            gained, total = effective_cases(float(more[code]), float(more[code] + less[code]), float(spread[code]))
            chance = chance_of_loss(gained, total - gained)
            found.append(_Change(label, round(frauds[code]), float(net[code] / weights[code]), chance))
    return found


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
