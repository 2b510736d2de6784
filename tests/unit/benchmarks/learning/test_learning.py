"""The benchmark of learning from one's own decisions: labels, the control group, and a run from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from shared.learning import config
from shared.scoring.rules import Decision
from tests.benchmarks.learning.__main__ import for_worlds, main
from tests.benchmarks.learning.arm import Arm, ArmName, Plan
from tests.benchmarks.learning.labels import labels_left
from tests.benchmarks.learning.serving import rules_without_reports
from tests.benchmarks.learning.world import LearningWorld, load, save
from tests.unit.benchmarks.learning.small import DAYS, small_world

CONFIG = Path("tests/unit/learning/quick.yaml")
PLAN = Plan(230, 60, 2)


@pytest.fixture(scope="module")
def world() -> LearningWorld:
    return small_world()


def arm(name: ArmName, world: LearningWorld) -> Arm:
    """Return an arm after its generations."""
    # Frauds count alike: weighed by their amounts, the first model of so small a world holds too many.
    settings = msgspec.structs.replace(for_worlds(config.load(CONFIG)), fraud_amount_power=0.0)
    done = Arm(name, world, rules_without_reports(), settings, PLAN)
    found = list(done.generations())
    assert [one.number for one in found] == [0, 1]
    assert found[0].outcome == "PROMOTE"
    return done


@pytest.fixture(scope="module")
def closed(world: LearningWorld) -> Arm:
    return arm("closed", world)


@pytest.fixture(scope="module")
def control(world: LearningWorld) -> Arm:
    return arm("control", world)


def test_what_was_stopped_is_never_legitimate_by_silence(closed: Arm, world: LearningWorld) -> None:
    labels, decided = closed.labels(), closed.served.decided
    rejected, held = decided == Decision.REJECT, decided == Decision.HOLD
    assert rejected.sum() > 20
    assert held.sum() > 20
    assert not labels.known[rejected & ~world.complains].any()
    assert not labels.fraud[rejected].any()
    assert labels.fraud[held & world.stream.fraud].all()


def test_errors_of_reviewers_stay_unless_the_customer_complains(world: LearningWorld) -> None:
    held = np.full(len(world), Decision.HOLD, dtype=np.int8)
    wrong = labels_left(world, held).fraud & ~world.stream.fraud
    assert wrong.sum() > 100
    assert np.array_equal(wrong, world.refused & ~world.complains & ~world.stream.fraud)


def test_only_the_control_group_is_decided_otherwise_than_by_the_policy(closed: Arm, control: Arm) -> None:
    assert np.array_equal(closed.served.policy, closed.served.decided)
    assert np.isnan(closed.served.chance).all()
    drawn = control.served.policy != control.served.decided
    assert drawn.sum() > 5
    assert (control.served.policy[drawn] == control.served.decided[drawn] + 1).all()
    assert (control.served.chance[drawn] > 0).all()


def test_the_control_group_labels_what_is_rejected_otherwise(control: Arm, world: LearningWorld) -> None:
    frauds = (control.served.policy == Decision.REJECT) & world.stream.fraud
    drawn = control.served.decided == Decision.HOLD
    labels = control.labels()
    assert (frauds & drawn).sum() > 5
    assert labels.fraud[frauds & drawn].all()
    assert not labels.known[frauds & ~drawn].any()


def test_a_world_is_the_same_from_its_file(world: LearningWorld, tmp_path: Path) -> None:
    save(world, tmp_path / "world.npz")
    again = load(tmp_path / "world.npz")
    assert again.ids == world.ids
    assert np.array_equal(again.stream.features, world.stream.features, equal_nan=True)
    assert {name: fact.values for name, fact in again.facts.items()} == {
        name: fact.values for name, fact in world.facts.items()
    }


def test_a_run_ends_with_a_line_of_json(
    world: LearningWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(world, tmp_path / f"{len(world)}-{DAYS}-0.02-1.npz")
    size = ["--seeds", "1", "--days", str(DAYS), "--transactions", str(len(world)), "--generations", "1"]
    status = main([*size, "--worlds", str(tmp_path), "--config", str(CONFIG), "--skip-gate"])
    *_, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert list(found) == [
        *("open", "closed", "control", "control_to_open", "gate_coverage", "control_brl_per_million"),
        *("good_rejected", "false_promotions_60_looks", "planted_wrong", "planted_better_share"),
    ]
    assert found["control_to_open"] == pytest.approx(found["control"] / found["open"], abs=0.001)
    assert status == (not (found["control_to_open"] <= 1.15 and found["gate_coverage"] >= 0.9))
