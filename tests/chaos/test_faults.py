"""A small `make bench-faults`: nothing is lost, doubled, changed, or scored by an incomplete model."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.benchmarks.faults.run import run
from tests.benchmarks.faults.script import Scale
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
    retraining=False,
)


def test_faults_lose_and_change_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    progress: list[str] = []
    found = run(800, 5, SMALL, tmp_path, progress.append)
    assert found.problems == [], "\n".join([*progress, *found.notes])
    assert (found.result.scored, found.result.quarantined) == (800, 16)
    assert (found.result.swaps, found.result.bad_bundles_refused) == (3, 6)
    assert "Traceback" not in capfd.readouterr().err


def test_a_shown_decision_counts_as_changed_once_another_is_shown() -> None:
    at = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    held, approved = Shown(at, "HOLD", 0.7, "v1", False), Shown(at, "APPROVE", None, None, True)
    looks = iter([{"E1": held}, {"E1": held, "E2": held}, {"E1": held, "E2": approved}, {"E1": held, "E2": held}])
    watch = Watch(lambda _: next(looks))
    for _ in range(4):
        watch.look()
    assert (watch.looks, watch.rows) == (4, 7)
    assert watch.changes == {"E2": (held, approved)}
    assert watch.kinds() == {"HOLD by v1 -> APPROVE by rules, degraded": 1}
