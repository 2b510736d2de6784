"""A small `make bench-faults`: nothing is lost, doubled, changed, or scored by an incomplete model."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.benchmarks.faults.run import run
from tests.benchmarks.faults.scale import Scale
from tests.benchmarks.faults.watch import Shown, Watch

SMALL = Scale(
    kills=2,
    swaps=3,
    refuses=3.0,
    slow=2.0,
    away=2.0,
    blind=3.0,
    frozen=1.5,
    gone=5.0,
    attempts=6,
    quiet=20.0,
    retraining=False,
)


def test_faults_lose_and_change_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    progress: list[str] = []
    found = run(800, 5, SMALL, tmp_path, progress.append)
    assert found.problems == [], "\n".join([*progress, *found.notes])
    assert (found.result.pix, found.result.scored - found.result.published, found.result.quarantined) == (800, 0, 16)
    assert found.result.published > 800  # the payees' sides ask, too
    assert found.result.redriven_a_day_later >= 20  # of refused Pix, and what waited for them
    assert (found.result.swaps, found.result.bad_bundles_refused) == (3, 6)
    assert "Traceback" not in capfd.readouterr().err


def test_a_shown_decision_counts_as_changed_once_another_is_shown() -> None:
    at = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    held, approved = Shown(at, "HOLD", 0.7, "v1", False), Shown(at, "APPROVE", None, None, True)
    one, two = ("E1", "PAYER"), ("E1", "PAYEE")
    looks = iter([{one: held}, {one: held, two: held}, {one: held, two: approved}, {one: held, two: held}])
    watch = Watch(lambda _: next(looks))
    for _ in range(4):
        watch.look()
    assert (watch.looks, watch.rows) == (4, 7)
    assert watch.changes == {two: (held, approved)}
    assert watch.kinds() == {"HOLD by v1 -> APPROVE by rules, degraded": 1}


def test_a_row_without_history_gives_way_once_to_a_copy_that_was_scored_at_the_same_time() -> None:
    at = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    blind = Shown(at, "APPROVE", None, None, True)
    held = Shown(at - dt.timedelta(seconds=2), "HOLD", 0.7, "v1", False)
    late = Shown(at + dt.timedelta(seconds=4), "HOLD", 0.7, "v1", False)
    one, two = ("E1", "PAYER"), ("E1", "PAYEE")
    looks = iter([{one: blind, two: blind}, {one: held, two: late}, {one: blind, two: late}])
    watch = Watch(lambda _: next(looks))
    for _ in range(3):
        watch.look()
    assert watch.gave_way == 1
    assert watch.changes == {one: (held, blind), two: (blind, late)}
