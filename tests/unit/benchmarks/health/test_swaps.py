"""The looks at quiet swaps: how they are counted, and what a look sees."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pytest

from shared.learning.config import Config
from shared.learning.judging.live_rejects import RejectSums
from shared.learning.probation.bands import Findings
from tests.benchmarks.health import swaps
from tests.benchmarks.health.swaps import Decided, seen

QUIET, TOLD = Findings({"psi_score": 0.1}, [], is_enough=True), Findings({"psi_score": 0.7}, ["far"], is_enough=True)
TOO_FEW = Findings({}, [], is_enough=False)


@pytest.mark.parametrize(("told", "share", "good"), [(0, 0.0, True), (1, 0.05, True), (2, 0.1, False)])
def test_a_swap_is_told_of_by_either_look(
    monkeypatch: pytest.MonkeyPatch, told: int, share: float, good: bool
) -> None:
    def looks(_: int, __: int, ___: Config) -> Iterator[tuple[str, Findings]]:
        yield from (("minutes", one) for one in (QUIET, TOO_FEW))
        yield from (("day", TOLD if number < told else QUIET) for number in range(20))

    monkeypatch.setattr(swaps, "world_looks", looks)
    found = swaps.run(argparse.Namespace(swaps_seeds=[1], swaps_pix=9))
    assert (found.figures["false_probations"], found.figures["false_minutes"], found.good) == (share, 0.0, good)
    assert found.figures["psi_max"] == (0.7 if told else 0.1)


def test_a_look_sees_scores_by_bin_alerts_and_rejects_that_no_rule_demands() -> None:
    decided = Decided(
        np.array([0.1, 0.2, 0.75, 0.9]),
        np.array([0, 1, 2, 2], np.int8),
        np.array([0, 1, 0, 2], np.int8),
        np.array([False, True, False, False]),
    )
    found = seen(decided, [0.2, 0.8])
    assert (found.decided, found.alerts, found.counts) == (4, 3, [2, 1, 1])
    assert found.rejects == {"PAYER": RejectSums(0.9 + 0.25 + (1 - 0.9), 0.25), "PAYEE": RejectSums(0.8, 0.0)}
