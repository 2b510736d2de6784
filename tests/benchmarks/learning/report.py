"""The figures of all worlds: a table of each arm and generation, and the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich.table import Table

from tests.benchmarks.learning.arm import ArmName, Generation
from tests.benchmarks.learning.truth import MILLION, Period

TO_OPEN_MAX, COVERAGE_MIN = 1.15, 0.9

Found = Mapping[ArmName, Sequence[Generation]]
"""The generations of all worlds, by arm."""


class Result(NamedTuple):
    """True costs in BRL per million Pix of each arm and of the control group; `control_to_open` is their ratio.

    They are of the generations after the first, as that one learns from days without a model in each arm.
    `gate_coverage` is the share of the verdicts with a control group whose interval contains the true saving.
    `good_rejected` is the share of the legitimate Pix that the models rejected in the loop with a control group.
    """

    open: float
    closed: float
    control: float
    control_to_open: float
    gate_coverage: float
    control_brl_per_million: float
    good_rejected: float

    def good(self, reject_share_max: float) -> bool:
        """Return whether the loop with a control group costs, covers and rejects good customers as demanded."""
        within = self.control_to_open <= TO_OPEN_MAX and self.good_rejected <= reject_share_max
        return within and self.gate_coverage >= COVERAGE_MIN


def result_of(found: Found) -> Result:
    """Return the figures of all worlds together."""
    later = {name: [one.period for one in generations if one.number] for name, generations in found.items()}
    costs = {name: _per_million(periods, "cost") for name, periods in later.items()}
    of_group = sum(_per_million(later["control"], part) for part in ("lost", "reviews", "friction"))
    return Result(
        costs["open"],
        costs["closed"],
        costs["control"],
        costs["control"] / costs["open"],
        coverage(found["control"]),
        of_group,
        _good_rejected(later["control"]),
    )


def _good_rejected(periods: Sequence[Period]) -> float:
    return sum(one.good_rejected for one in periods) / max(sum(one.pix - one.frauds for one in periods), 1)


def coverage(generations: Sequence[Generation]) -> float:
    """Return the share of verdicts whose interval contains the true saving; NaN without a verdict."""
    judged = [one.covered for one in generations if one.covered is not None]
    return float(np.mean(judged)) if judged else float("nan")


def table_of(found: Found) -> Table:
    """Return the table of each arm and generation; figures are means over the worlds, per million Pix."""
    table = Table(
        *("arm", "training", "verdicts", "frauds labelled", "saving", "true saving", "covered"),
        *("true cost", "frauds stopped", "good rejected", "drawn", "cost of draws", "spared"),
        title="by arm and training: BRL and numbers per million Pix",
    )
    for name, generations in found.items():
        for number in sorted({one.number for one in generations}):
            table.add_row(name, str(number), *_cells([one for one in generations if one.number == number]))
        table.add_section()
    return table


def _cells(own: Sequence[Generation]) -> list[str]:
    periods = [one.period for one in own]
    verdicts = ", ".join(f"{count} {outcome}" for outcome, count in Counter(one.outcome for one in own).items())
    savings = [one.saving for one in own if one.saving is not None]
    truths = [one.true_saving for one in own if one.true_saving is not None]
    frauds = sum(one.frauds for one in periods)
    of_group = sum(_per_million(periods, part) for part in ("lost", "reviews", "friction"))
    return [
        verdicts,
        f"{np.mean([one.frauds for one in own]):,.0f}",
        f"{np.mean(savings):,.0f}" if savings else "-",
        f"{np.mean(truths):,.0f}" if truths else "-",
        f"{coverage(own):.0%}" if savings else "-",
        f"{_per_million(periods, 'cost'):,.0f}",
        f"{sum(one.stopped for one in periods) / frauds:.0%}" if frauds else "-",
        f"{_per_million(periods, 'good_rejected'):,.0f}",
        f"{_per_million(periods, 'drawn'):,.0f}",
        f"{of_group:,.0f}",
        f"{_per_million(periods, 'spared'):,.0f}",
    ]


def _per_million(periods: Sequence[Period], name: str) -> float:
    return float(sum(getattr(one, name) for one in periods) / max(sum(one.pix for one in periods), 1) * MILLION)
