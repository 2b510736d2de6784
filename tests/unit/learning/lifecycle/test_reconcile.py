"""The work of a killed job is finished by the next one, once."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import msgspec
import pytest

from shared.adapters.memory.learning import MemoryLedger, MemoryRuns
from shared.adapters.memory.serving import MemoryBlobs
from shared.errors import PreconditionFailed, Unavailable
from shared.learning.lifecycle.operator_move import OperatorMove
from shared.learning.lifecycle.pointer import MoveCause, publish, read_pointer, swap, write_pointer
from shared.learning.lifecycle.reconcile import STALE_AFTER, reconcile
from shared.scoring.bundle import POINTER, Pointer, path
from tests.unit.learning.bundles import small_bundle

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FACTS: dict[str, Any] = {
    "run_id": "r",
    "dataset_hash": "h",
    "trigger": "drift",
    "as_of": START.isoformat(),
    "metrics": {"auc": 0.9},
}


class ModelStore:
    """A bucket with three versions, of which v1 serves, and a complete ledger."""

    def __init__(self) -> None:
        self.now = START
        self.blobs = MemoryBlobs(self.tick)
        self.ledger = MemoryLedger()
        self.runs = MemoryRuns(self.tick)
        self.operator = OperatorMove(self.blobs, lambda: self.runs, self.ledger, self.tick, "me")
        for version in ("v1", "v2", "v3"):
            publish(self.blobs, version, small_bundle(version, created_at=self.tick().isoformat(), **FACTS))
        self.operator.promote("v1", "first")
        self.reconcile()

    def tick(self) -> dt.datetime:
        self.now += dt.timedelta(seconds=1)
        return self.now

    def reconcile(self) -> None:
        state = read_pointer(self.blobs)
        reconcile(self.blobs, self.blobs, self.ledger, self.runs, self.runs, state, self.tick())

    def cut_off(self, version: str, action: Literal["SWAP", "ROLLBACK"] = "SWAP") -> None:
        """Move the pointer as a job that is killed right after."""
        swap(self.blobs, read_pointer(self.blobs), version, MoveCause(self.tick(), "killed", "why", action))

    def moved(self) -> list[tuple[str, str, str | None, str | None]]:
        rows = [row for row in self.ledger.rows(START) if row.action in ("SWAP", "ROLLBACK")]
        return [(row.action, row.actor, row.from_version, row.to_version) for row in rows]


@pytest.fixture
def store() -> ModelStore:
    return ModelStore()


def test_the_row_of_an_interrupted_move_is_appended_in_full_later(store: ModelStore) -> None:
    store.cut_off("v2")
    at = dt.datetime.fromisoformat(read_pointer(store.blobs).pointer.swapped_at)
    store.reconcile()
    [row] = [row for row in store.ledger.stored if row.to_version == "v2" and row.action == "SWAP"]
    assert (row.actor, row.reason, row.from_version, row.run_id, row.trigger) == ("killed", "why", "v1", "r", "drift")
    assert row.recorded_at == round(at.timestamp() * 1e6)
    assert msgspec.json.decode(row.metrics) == {"auc": 0.9}
    assert row.as_of == round(START.timestamp() * 1e6)
    assert store.runs.aliases == {"champion": "v2", "previous": "v1"}


def test_reconciling_is_idempotent(store: ModelStore) -> None:
    store.cut_off("v2")
    store.reconcile()
    before = list(store.ledger.stored)
    store.reconcile()
    store.reconcile()
    assert store.ledger.stored == before


def test_the_next_move_first_records_the_one_before(store: ModelStore) -> None:
    store.cut_off("v2")
    store.operator.promote("v3", "next")
    assert store.moved() == [
        ("SWAP", "me", None, "v1"),
        ("SWAP", "killed", "v1", "v2"),
        ("SWAP", "me", "v2", "v3"),
    ]


def test_two_jobs_that_record_one_move_append_the_same_row(store: ModelStore) -> None:
    store.operator.promote("v2", "x")
    row = store.ledger.stored.pop()
    store.reconcile()
    assert store.ledger.stored[-1] == row


def test_moves_without_a_ledger_are_kept_in_the_pointer(store: ModelStore) -> None:
    store.ledger.away = True
    assert not store.operator.promote("v2", "a").recorded
    assert not store.operator.rollback("b").recorded
    assert not store.operator.promote("v3", "c").recorded
    assert read_pointer(store.blobs).version == "v3"
    store.ledger.away = False
    assert store.operator.promote("v3", "again").outcome == "ALREADY_SERVES"
    assert store.moved()[1:] == [
        ("SWAP", "me", "v1", "v2"),
        ("ROLLBACK", "me", "v2", "v1"),
        ("SWAP", "me", "v1", "v3"),
    ]
    store.operator.rollback("d")
    assert read_pointer(store.blobs).pointer.unrecorded == []


def test_an_interrupted_rollback_is_finished_by_the_next(store: ModelStore) -> None:
    store.operator.promote("v2", "x")
    store.cut_off("v1", "ROLLBACK")
    finished = store.operator.rollback("again")
    assert (finished.outcome, finished.version) == ("FINISHED", "v1")
    assert store.moved()[-1] == ("ROLLBACK", "killed", "v2", "v1")
    assert store.operator.rollback("undo").version == "v2"


def test_a_publication_missing_in_the_ledger_is_recorded(store: ModelStore) -> None:
    publish(store.blobs, "v4", small_bundle("v4", created_at=store.tick().isoformat(), actor="killed", **FACTS))
    half = small_bundle("v5")
    store.blobs.write(path("v5", "model.onnx"), half["model.onnx"], 0)
    store.reconcile()
    rows = [row for row in store.ledger.stored if row.action == "PUBLISH"]
    assert [row.to_version for row in rows] == ["v1", "v2", "v3", "v4"]
    assert (rows[-1].actor, rows[-1].reason, rows[-1].run_id) == ("killed", "trained by drift", "r")


def test_a_run_that_is_open_for_a_day_is_closed_as_failed(store: ModelStore) -> None:
    stale = store.runs.start({})
    store.now += STALE_AFTER
    young = store.runs.start({})
    store.reconcile()
    assert store.runs.reports == {stale: None}
    assert young not in store.runs.reports


def test_a_pointer_written_by_hand_is_recorded_too(store: ModelStore) -> None:
    state = read_pointer(store.blobs)
    write_pointer(store.blobs, Pointer("v3", "2026-01-02T00:00:00"), state)
    store.reconcile()
    assert store.moved()[-1] == ("SWAP", "unknown", None, "v3")


def test_a_change_of_the_retiring_list_does_not_stop_a_swap(store: ModelStore) -> None:
    state = read_pointer(store.blobs)
    write_pointer(store.blobs, msgspec.structs.replace(state.pointer, retiring=["v2"]), state)
    swapped = swap(store.blobs, state, "v3", MoveCause(store.tick(), "me", "trained meanwhile"))
    assert swapped.pointer.retiring == ["v2"]
    assert read_pointer(store.blobs).version == "v3"


def test_an_unavailable_bucket_changes_nothing(store: ModelStore) -> None:
    before, rows = store.blobs.objects[POINTER], list(store.ledger.stored)
    store.blobs.away = True
    with pytest.raises(Unavailable):
        store.operator.rollback("x")
    store.blobs.away = False
    stale = read_pointer(store.blobs)
    store.operator.promote("v2", "x")
    with pytest.raises(PreconditionFailed):
        swap(store.blobs, stale, "v3", MoveCause(store.tick(), "me", ""))
    assert before.generation != store.blobs.objects[POINTER].generation
    assert len(store.ledger.stored) == len(rows) + 1
