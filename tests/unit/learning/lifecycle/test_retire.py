"""Retirement of old versions: the plan, and an interrupted removal."""

from __future__ import annotations

import datetime as dt

import pytest

from shared.adapters.memory.learning import MemoryLedger
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.errors import BundleRefused, PreconditionFailed, Unavailable
from shared.learning.config import Retention
from shared.learning.lifecycle.pointer import MoveCause, publish, read_pointer, swap
from shared.learning.lifecycle.retire import (
    Retirement,
    RetirementResult,
    Retiring,
    read_plan,
    remove,
    retire,
)
from shared.scoring.champion import read_bundle
from tests.unit.learning.bundles import small_bundle

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NONE = Retention(keep=0, days=0)


class ModelStore:
    """A bucket with versions v0 to v5, a day apart; v4 serves, and v3 did before."""

    def __init__(self, blobs: MemoryBlobs | None = None) -> None:
        self.now = START
        self.blobs = blobs or MemoryBlobs()
        self.blobs._clock = lambda: self.now
        self.ledger = MemoryLedger()
        self.retiring = Retiring(self.blobs, self.blobs, self.ledger, lambda: self.now, "tests")
        for number in range(6):
            publish(self.blobs, f"v{number}", small_bundle(f"v{number}"))
            if number in (3, 4):
                self.swap(f"v{number}")
            self.now += dt.timedelta(days=1)

    def swap(self, version: str) -> None:
        swap(self.blobs, read_pointer(self.blobs), version, MoveCause(self.now, "tests", ""))

    def retire(self, retention: Retention = NONE) -> list[str]:
        return remove(self.retiring, read_plan(self.retiring, retention))

    def left(self) -> set[str]:
        return {name.split("/")[1] for name in self.blobs.objects} - {"current.json"}


@pytest.fixture
def store() -> ModelStore:
    return ModelStore()


def test_versions_outside_the_pointer_are_removed_and_recorded(store: ModelStore) -> None:
    assert store.retire() == ["v0", "v1", "v2", "v5"]
    assert store.left() == {"v3", "v4"}
    assert [(row.action, row.to_version) for row in store.ledger.stored] == [
        ("RETIRE", name) for name in ("v0", "v1", "v2", "v5")
    ]
    assert read_pointer(store.blobs).pointer.retiring == []
    assert store.retire() == []
    assert len(store.ledger.stored) == 4


def test_the_last_bundles_and_recent_versions_of_the_ledger_stay(store: ModelStore) -> None:
    for version, days, action in (("v0", 5, "SWAP"), ("v1", 50, "SWAP"), ("v2", 5, "RETIRE")):
        at = micros(store.now - dt.timedelta(days=days))
        store.ledger.append(LedgerRow(at, action, "me", "", from_version=version))
    store.now += dt.timedelta(days=1)
    assert store.retire(Retention(keep=1, days=10)) == ["v1", "v2"]
    assert store.left() == {"v0", "v3", "v4", "v5"}


def test_the_approved_fit_of_a_refit_in_the_pointer_stays(store: ModelStore) -> None:
    publish(store.blobs, "v6", small_bundle("v6", refit_of="v1"))
    store.swap("v6")
    assert store.retire() == ["v0", "v2", "v3", "v5"]
    assert store.left() == {"v1", "v4", "v6"}


def test_a_bundle_without_a_manifest_stays_for_a_day(store: ModelStore) -> None:
    store.blobs.write("models/half/model.onnx", b"", 0)
    store.now += dt.timedelta(hours=23)
    keep_all = Retention(keep=9, days=9)
    assert store.retire(keep_all) == []
    store.now += dt.timedelta(hours=2)
    assert store.retire(keep_all) == ["half"]


def test_without_a_pointer_all_bundles_stay() -> None:
    store = ModelStore()
    del store.blobs.objects["models/current.json"]
    plan = read_plan(store.retiring, NONE)
    assert plan.decisions
    assert plan.leaving == []
    assert remove(store.retiring, plan) == []


def test_a_pointer_moved_after_the_plan_stops_the_removal(store: ModelStore) -> None:
    plan = read_plan(store.retiring, NONE)
    store.swap("v0")
    with pytest.raises(PreconditionFailed):
        remove(store.retiring, plan)
    assert store.left() == {f"v{number}" for number in range(6)}


def test_a_promotion_cannot_point_to_a_version_that_is_being_removed(store: ModelStore) -> None:
    state = read_pointer(store.blobs)

    class Racing(MemoryLedger):
        def append(
            self, row: LedgerRow
        ) -> None:  # the pointer lists the leaving versions before their rows are written
            if row.to_version == "v5":
                assert read_bundle(store.blobs, "v5")
                with pytest.raises(BundleRefused, match="retired"):
                    swap(store.blobs, state, "v5", MoveCause(store.now, "me", ""))
                swap(store.blobs, state, "v3", MoveCause(store.now, "me", ""))
            super().append(row)

    store.retiring = store.retiring._replace(ledger=Racing())
    store.retire()
    assert read_pointer(store.blobs).version == "v3"
    assert store.left() == {"v3", "v4"}


class InterruptedBlobs(MemoryBlobs):
    """A bucket that becomes unavailable after some deletions."""

    left = 10_000

    def delete(self, prefix: str) -> None:
        if self.left == 0:
            raise Unavailable("cut off")
        self.left -= 1
        super().delete(prefix)


@pytest.mark.parametrize("deletions", range(8))
def test_an_interrupted_retirement_is_finished_later(
    deletions: int,
) -> None:
    blobs = InterruptedBlobs()
    store = ModelStore(blobs)
    blobs.left = deletions
    with pytest.raises(Unavailable):
        store.retire()
    for version in ("v0", "v1", "v2", "v5"):
        with pytest.raises(BundleRefused):
            store.swap(version)
    blobs.left = 10_000
    store.retire(Retention(keep=9, days=9))
    assert store.left() == {"v3", "v4"}
    assert sorted(row.to_version for row in store.ledger.stored) == ["v0", "v1", "v2", "v5"]
    assert read_pointer(store.blobs).pointer.retiring == []


def test_a_plan_has_the_reason_of_each_decision(store: ModelStore) -> None:
    decisions = read_plan(store.retiring, Retention(keep=1, days=30)).decisions
    assert Retirement("v5", True, "one of the last 1") in decisions
    assert Retirement("v3", True, "the pointer names it") in decisions
    assert Retirement("v0", False, "nothing has named it for 30 days") in decisions


def test_a_dry_run_shows_the_plan_and_changes_nothing(store: ModelStore) -> None:
    shown: list[Retirement] = []
    before = dict(store.blobs.objects)
    result = retire(store.retiring, NONE, shown.extend, dry_run=True)
    assert result == RetirementResult("DRY_RUN", 2, ["v0", "v1", "v2", "v5"])
    assert [each.version for each in shown] == ["v0", "v1", "v2", "v3", "v4", "v5"]
    assert store.blobs.objects == before
    assert store.ledger.stored == []


def test_a_retirement_first_finishes_the_work_of_killed_jobs(store: ModelStore) -> None:
    assert retire(store.retiring, NONE, lambda _: None) == RetirementResult("RETIRED", 2, ["v0", "v1", "v2", "v5"])
    actions = [row.action for row in store.ledger.stored]
    assert actions == ["SWAP", *["PUBLISH"] * 6, *["RETIRE"] * 4]
    assert retire(store.retiring, NONE, lambda _: None) == RetirementResult("NOTHING_TO_DO", 2, [])
