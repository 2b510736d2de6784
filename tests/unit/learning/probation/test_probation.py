"""Probation after a swap: what is looked at when, what is outside of a band, and what follows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest

from shared.adapters.memory.learning import MemoryLedger, MemoryRuns
from shared.adapters.memory.serving import MemoryBlobs
from shared.learning.data.profile import read_profile
from shared.learning.lifecycle.operator_move import OperatorMove
from shared.learning.lifecycle.pointer import publish, read_pointer
from shared.learning.probation.bands import Findings, Foretold, Seen, look
from shared.learning.probation.probation import FAILED, PASSED, TOO_FEW, Probation, ProbationResult
from shared.learning.probation.rows import ProbationRows
from shared.scoring.bundle import path
from shared.scoring.rules import Rules
from tests.unit.learning.bundles import small_bundle
from tests.unit.learning.synthetic import CONFIG

SWAPPED = dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC)
SPEC = msgspec.structs.replace(CONFIG.probation, minutes=15, settle_minutes=3, rows_min=1_000, outside="roll_back")
CARD = {"held_share": 0.008, "rejected_share": 0.002}
COSTS = CONFIG.costs.by_side
SOON, NEXT_DAY = SWAPPED + dt.timedelta(minutes=22), SWAPPED + dt.timedelta(hours=25)


def answered(own: bool, place: int | None, decided: int) -> dict[str, Any]:
    """Return a row of the query of decisions."""
    row = {"own": own, "bin": place, "side": "PAYER", "decided": decided, "alerts": 0}
    return {**row, "good": float(decided), "good_rejected": 0.0}


class World:
    """v2 serves since SWAPPED, before it v1; `rows` are the answer about decisions."""

    def __init__(self, **spec: Any) -> None:
        self.models, self.ledger, self.now = MemoryBlobs(), MemoryLedger(), SWAPPED
        self.spec = msgspec.structs.replace(SPEC, **spec)
        self.moves = OperatorMove(self.models, MemoryRuns, self.ledger, lambda: self.now, "job")
        for version in ("v1", "v2", "v3"):
            publish(self.models, version, small_bundle(version, metrics=CARD))
        self.moves.promote("v1", "first")
        self.now += dt.timedelta(seconds=1)
        self.moves.promote("v2", "saves")
        self.edges = read_profile(self.models, "v2").score.edges
        self.asked: list[str] = []
        self.alerts, self.own, self.decided, self.shift, self.good_rejected = 0.01, 1.0, 50_000, 0, 0.001

    def rows(self, sql: str, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        self.asked.append(sql)
        own = round(self.decided * self.own)
        bins = np.full(len(self.edges) + 1, own // (len(self.edges) + 1))
        bins[0] += own - bins.sum()
        if self.shift:
            bins = np.bincount(np.minimum(np.arange(len(bins)) + self.shift, len(bins) - 1), bins, len(bins))
        found = [answered(True, number, int(count)) for number, count in enumerate(bins)]
        found[0] |= {"alerts": round(own * self.alerts), "good_rejected": own * self.good_rejected}
        return [*found, answered(False, 0, self.decided - own) | {"alerts": 5}, answered(False, None, 0)]

    def look(self, now: dt.datetime) -> ProbationResult:
        self.now = now
        rows = ProbationRows(self, "bank", "pix", Rules([]))
        return Probation(self.moves, rows, self.spec, COSTS).run(now)

    @property
    def serving(self) -> str | None:
        return read_pointer(self.models).version

    def told(self) -> list[str]:
        return [row.action for row in self.ledger.stored if row.action.startswith("PROBATION")]


def test_each_look_is_taken_once_after_its_time() -> None:
    world = World()
    assert world.look(SWAPPED + dt.timedelta(minutes=20)).outcome == "NOTHING_TO_DO"
    assert world.asked == []
    assert world.look(SOON).looks == {"minutes": PASSED}
    assert world.look(SOON + dt.timedelta(minutes=5)).outcome == "NOTHING_TO_DO"
    assert world.look(NEXT_DAY).looks == {"day": PASSED}
    assert world.look(NEXT_DAY + dt.timedelta(hours=1)).outcome == "NOTHING_TO_DO"
    assert world.told() == [PASSED, PASSED]
    assert len(world.asked) == 2
    row = world.ledger.stored[-1]
    assert (row.from_version, row.to_version) == ("v1", "v2")
    figures = msgspec.json.decode(row.metrics or "")
    assert figures["foretold_alert_share"] == pytest.approx(0.01)
    assert figures["served_share"] == 1.0


def test_a_job_that_was_off_takes_both_looks_or_none() -> None:
    world = World()
    assert world.look(NEXT_DAY).looks == {"minutes": PASSED, "day": PASSED}
    assert World().look(SWAPPED + dt.timedelta(days=4)).outcome == "NOTHING_TO_DO"


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"alerts": 0.06}, "stops 6.000%"),
        ({"alerts": 0.001}, "stops 0.100%"),
        ({"own": 0.5}, "serves 50.0%"),
        ({"shift": 4}, "stability index of the score"),
        ({"good_rejected": 0.03}, "rejects 3.000% of good customers on the payer's side"),
    ],
)
def test_outside_of_a_band_the_version_before_serves_again(fault: dict[str, Any], word: str) -> None:
    world = World()
    for name, value in fault.items():
        setattr(world, name, value)
    found = world.look(SOON)
    assert (found.looks, found.consequence) == ({"minutes": FAILED}, "ROLLED_BACK")
    assert word in found.reasons[0]
    assert world.serving == "v1"
    assert [row.action for row in world.ledger.stored][-2:] == [FAILED, "ROLLBACK"]
    assert word in world.ledger.stored[-1].reason


def test_a_person_is_told_where_the_configuration_says_so() -> None:
    world = World(outside="alert")
    world.alerts = 0.06
    assert world.look(SOON).consequence == "TOLD"
    assert world.serving == "v2"
    assert world.look(SOON).outcome == "NOTHING_TO_DO"


def test_a_rollback_is_on_probation_and_never_rolled_back() -> None:
    world = World()
    world.alerts = 0.06
    world.look(SOON)
    found = world.look(SOON + dt.timedelta(minutes=22))
    assert (found.version, found.looks, found.consequence) == ("v1", {"minutes": FAILED}, "TOLD")
    assert world.serving == "v1"


def test_what_is_within_a_band_by_chance_is_kept() -> None:
    world = World()
    world.decided, world.alerts = 1_200, 0.043  # four times what was foretold, of few decisions
    assert world.look(SOON).looks == {"minutes": PASSED}


def test_few_decisions_are_too_few_to_say() -> None:
    world = World()
    world.decided, world.alerts = 900, 0.5
    assert world.look(SOON).looks == {"minutes": TOO_FEW}
    assert world.serving == "v2"


def test_a_bundle_whose_golden_vectors_fail_is_rolled_back() -> None:
    world = World()
    name = path("v2", "golden.npz")
    blob = world.models.objects[name]
    world.models.write(name, blob.data[:-1], blob.generation)
    found = world.look(SOON)
    assert found.consequence == "ROLLED_BACK"
    assert "refused" in found.reasons[0]
    assert world.serving == "v1"


def test_a_move_meanwhile_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.alerts = 0.06
    append = world.ledger.append

    def moved(row: Any) -> None:
        append(row)
        if row.action == FAILED:
            monkeypatch.undo()
            world.moves.promote("v3", "by hand")

    monkeypatch.setattr(world.ledger, "append", moved)
    assert world.look(SOON).consequence == "SWAP_LOST"
    assert world.serving == "v3"


def test_a_card_without_figures_leaves_alerts_unjudged() -> None:
    world = World()
    scores = read_profile(world.models, "v2").score
    counts = [5_000] * (len(world.edges) + 1)
    found = look(Seen(50_000, 50_000, 25_000, counts), Foretold(scores, None), SPEC, COSTS, "minutes")
    assert isinstance(found, Findings)
    assert found.outside == []
    assert "foretold_alert_share" not in found.figures


def test_without_a_model_there_is_nothing_to_look_at() -> None:
    world = World()
    world.models.delete("models/current.json")
    assert world.look(SOON) == ProbationResult("NOTHING_TO_DO", reasons=["no model serves"])
