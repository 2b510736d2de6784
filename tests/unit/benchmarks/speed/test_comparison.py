"""Two revisions are compared in turns, so that a busy machine disturbs both."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.benchmarks.speed.comparison import Turns, _in_turns
from tests.benchmarks.speed.revision import NotARevision, Revision


def test_a_ratio_compares_neighbouring_turns_only() -> None:
    assert Turns(before=[100.0, 10.0, 50.0], now=[90.0, 9.0, 60.0]).ratio == pytest.approx(0.9)


def test_every_second_turn_goes_backwards() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = _in_turns([lambda: measure("before"), lambda: measure("now")], 2)
    assert (order, found) == (["before", "now", "now", "before"], [[1.0, 4.0], [2.0, 3.0]])


def test_a_checkout_without_an_environment_runs_by_ours(tmp_path: Path) -> None:
    assert Revision(tmp_path).bin == Path(sys.executable).parent


def test_a_folder_that_is_no_checkout_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotARevision, match=tmp_path.name):
        Revision(tmp_path).stage("score", tmp_path / "source")
