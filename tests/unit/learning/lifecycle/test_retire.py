"""Retirement of old versions: the plan, and an interrupted removal."""

from __future__ import annotations

import datetime as dt

import pytest

from shared.adapters.memory.learning import MemoryLedger
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.errors import BundleRefused, PreconditionFailed, Unavailable
from shared.learning.lifecycle.pointer import MoveCause, publish, read_pointer, swap
from shared.learning.lifecycle.retire import (
    Retention,
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


class Shop:
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
def shop() -> Shop:
    return Shop()


def test_versions_outside_the_pointer_are_removed_and_recorded(shop: Shop) -> None:
    assert shop.retire() == ["v0", "v1", "v2", "v5"]
    assert shop.left() == {"v3", "v4"}
    assert [(row.action, row.to_version) for row in shop.ledger.stored] == [
        ("RETIRE", name) for name in ("v0", "v1", "v2", "v5")
    ]
    assert read_pointer(shop.blobs).pointer.retiring == []
    assert shop.retire() == []
    assert len(shop.ledger.stored) == 4


def test_the_last_bundles_and_recent_versions_of_the_ledger_stay(shop: Shop) -> None:
    for version, days, action in (("v0", 5, "SWAP"), ("v1", 50, "SWAP"), ("v2", 5, "RETIRE")):
        at = micros(shop.now - dt.timedelta(days=days))
        shop.ledger.append(LedgerRow(at, action, "me", "", from_version=version))
    shop.now += dt.timedelta(days=1)
    assert shop.retire(Retention(keep=1, days=10)) == ["v1", "v2"]
    assert shop.left() == {"v0", "v3", "v4", "v5"}


def test_a_bundle_without_a_manifest_stays_for_a_day(shop: Shop) -> None:
    shop.blobs.write("models/half/model.onnx", b"", 0)
    shop.now += dt.timedelta(hours=23)
    keep_all = Retention(keep=9, days=9)
    assert shop.retire(keep_all) == []
    shop.now += dt.timedelta(hours=2)
    assert shop.retire(keep_all) == ["half"]


def test_without_a_pointer_all_bundles_stay() -> None:
    shop = Shop()
    del shop.blobs.objects["models/current.json"]
    plan = read_plan(shop.retiring, NONE)
    assert plan.decisions
    assert plan.leaving == []
    assert remove(shop.retiring, plan) == []


def test_a_pointer_moved_after_the_plan_stops_the_removal(shop: Shop) -> None:
    plan = read_plan(shop.retiring, NONE)
    shop.swap("v0")
    with pytest.raises(PreconditionFailed):
        remove(shop.retiring, plan)
    assert shop.left() == {f"v{number}" for number in range(6)}


def test_a_promotion_cannot_point_to_a_version_that_is_being_removed(shop: Shop) -> None:
    state = read_pointer(shop.blobs)

    class Racing(MemoryLedger):
        def append(
            self, row: LedgerRow
        ) -> None:  # the pointer lists the leaving versions before their rows are written
            if row.to_version == "v5":
                assert read_bundle(shop.blobs, "v5")
                with pytest.raises(BundleRefused, match="retired"):
                    swap(shop.blobs, state, "v5", MoveCause(shop.now, "me", ""))
                swap(shop.blobs, state, "v3", MoveCause(shop.now, "me", ""))
            super().append(row)

    shop.retiring = shop.retiring._replace(ledger=Racing())
    shop.retire()
    assert read_pointer(shop.blobs).version == "v3"
    assert shop.left() == {"v3", "v4"}


class Dying(MemoryBlobs):
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
    blobs = Dying()
    shop = Shop(blobs)
    blobs.left = deletions
    with pytest.raises(Unavailable):
        shop.retire()
    for version in ("v0", "v1", "v2", "v5"):
        with pytest.raises(BundleRefused):
            shop.swap(version)
    blobs.left = 10_000
    shop.retire(Retention(keep=9, days=9))
    assert shop.left() == {"v3", "v4"}
    assert sorted(row.to_version for row in shop.ledger.stored) == ["v0", "v1", "v2", "v5"]
    assert read_pointer(shop.blobs).pointer.retiring == []


def test_a_plan_has_the_reason_of_each_decision(shop: Shop) -> None:
    decisions = read_plan(shop.retiring, Retention(keep=1, days=30)).decisions
    assert Retirement("v5", True, "one of the last 1") in decisions
    assert Retirement("v3", True, "the pointer names it") in decisions
    assert Retirement("v0", False, "nothing has named it for 30 days") in decisions


def test_a_dry_run_shows_the_plan_and_changes_nothing(shop: Shop) -> None:
    shown: list[Retirement] = []
    before = dict(shop.blobs.objects)
    result = retire(shop.retiring, NONE, shown.extend, dry_run=True)
    assert result == RetirementResult("DRY_RUN", 2, ["v0", "v1", "v2", "v5"])
    assert [each.version for each in shown] == ["v0", "v1", "v2", "v3", "v4", "v5"]
    assert shop.blobs.objects == before
    assert shop.ledger.stored == []


def test_a_retirement_first_finishes_the_work_of_killed_jobs(shop: Shop) -> None:
    assert retire(shop.retiring, NONE, lambda _: None) == RetirementResult("RETIRED", 2, ["v0", "v1", "v2", "v5"])
    actions = [row.action for row in shop.ledger.stored]
    assert actions == ["SWAP", *["PUBLISH"] * 6, *["RETIRE"] * 4]
    assert retire(shop.retiring, NONE, lambda _: None) == RetirementResult("NOTHING_TO_DO", 2, [])
