from __future__ import annotations

import datetime as dt

import pytest

from shared.adapters.memory.learning import MemoryLedger
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.errors import BundleRefused, PreconditionFailed, Unavailable
from shared.learning.lifecycle.pointer import MoveCause, publish, standing, swap
from shared.learning.lifecycle.retire import Retention, Retirement, Retiring, plan, retire
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
        swap(self.blobs, standing(self.blobs), version, MoveCause(self.now, "tests", ""))

    def retire(self, limits: Retention = NONE) -> list[str]:
        return retire(self.retiring, *plan(self.retiring, limits))

    def left(self) -> set[str]:
        return {name.split("/")[1] for name in self.blobs.objects} - {"current.json"}


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_what_the_pointer_names_stays_and_the_rest_goes_and_is_written_down(shop: Shop) -> None:
    assert shop.retire() == ["v0", "v1", "v2", "v5"]
    assert shop.left() == {"v3", "v4"}
    assert [(row.action, row.to_version) for row in shop.ledger.stored] == [
        ("RETIRE", name) for name in ("v0", "v1", "v2", "v5")
    ]
    assert standing(shop.blobs).pointer.retiring == []
    assert shop.retire() == []
    assert len(shop.ledger.stored) == 4


def test_the_last_ones_and_what_the_ledger_named_lately_stay(shop: Shop) -> None:
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


def test_without_a_pointer_all_stays() -> None:
    shop = Shop()
    del shop.blobs.objects["models/current.json"]
    read, found = plan(shop.retiring, NONE)
    assert found
    assert all(fate.kept for fate in found)
    assert retire(shop.retiring, read, found) == []


def test_whoever_moves_the_pointer_first_wins(shop: Shop) -> None:
    read, found = plan(shop.retiring, NONE)
    shop.swap("v0")
    with pytest.raises(PreconditionFailed):
        retire(shop.retiring, read, found)
    assert shop.left() == {f"v{number}" for number in range(6)}


def test_a_promotion_that_read_the_pointer_before_is_refused_what_is_leaving(shop: Shop) -> None:
    read = standing(shop.blobs)

    class Racing(MemoryLedger):
        def append(self, row: LedgerRow) -> None:  # the row is written once the pointer says what is leaving
            if row.to_version == "v5":
                assert read_bundle(shop.blobs, "v5")
                with pytest.raises(BundleRefused, match="retired"):
                    swap(shop.blobs, read, "v5", MoveCause(shop.now, "me", ""))
                swap(shop.blobs, read, "v3", MoveCause(shop.now, "me", ""))
            super().append(row)

    shop.retiring = shop.retiring._replace(ledger=Racing())
    shop.retire()
    assert standing(shop.blobs).version == "v3"
    assert shop.left() == {"v3", "v4"}


class Dying(MemoryBlobs):
    """A bucket that is cut off after some deletions."""

    left = 10_000

    def delete(self, prefix: str) -> None:
        if self.left == 0:
            raise Unavailable("cut off")
        self.left -= 1
        super().delete(prefix)


@pytest.mark.parametrize("deletions", range(8))
def test_a_retirement_cut_off_anywhere_leaves_no_half_bundle_for_whole_and_is_finished_later(
    deletions,
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
    assert standing(shop.blobs).pointer.retiring == []


def test_a_plan_says_why(shop: Shop) -> None:
    _, found = plan(shop.retiring, Retention(keep=1, days=30))
    assert Retirement("v5", True, "one of the last 1") in found
    assert Retirement("v3", True, "the pointer names it") in found
    assert Retirement("v0", False, "nothing has named it for 30 days") in found
