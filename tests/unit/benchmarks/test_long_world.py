"""The benchmark of long worlds fails where one of its figures misses its limit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.long_world.__main__ import holds

GOOD = {
    "quiet_days": 57,
    "days": 60,
    "faults_found": 3,
    "faults": 3,
    "average_precision": 0.51,
    "without_fading": 0.51,
}


def test_figures_at_their_limits_hold() -> None:
    assert holds(GOOD)
    assert holds({name: value for name, value in GOOD.items() if name not in ("average_precision", "without_fading")})


@pytest.mark.parametrize("change", [{"quiet_days": 56}, {"faults_found": 2}, {"without_fading": 0.5101}])
def test_a_figure_beyond_its_limit_does_not(change: dict[str, Any]) -> None:
    assert not holds(GOOD | change)
