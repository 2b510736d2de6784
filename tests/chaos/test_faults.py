"""What `make bench-faults` lets fail, in small: nothing is lost, doubled, changed, or scored by half a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.faults.run import run
from tests.benchmarks.faults.script import Scale

SMALL = Scale(kills=2, swaps=3, refuses=3.0, slow=2.0, away=2.0, blind=3.0, retraining=False)


@pytest.mark.timeout(400)
def test_nothing_is_lost_or_changed_whatever_fails(tmp_path: Path) -> None:
    told: list[str] = []
    found = run(800, 5, SMALL, tmp_path, told.append)
    assert found.problems == [], "\n".join([*told, *found.notes])
    assert (found.result.scored, found.result.quarantined) == (800, 16)
    assert (found.result.swaps, found.result.bad_bundles_refused) == (3, 6)
