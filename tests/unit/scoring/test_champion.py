"""The model that decides is the one the pointer names, also after a pause, and whatever the bucket holds."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading

import pytest

from shared.adapters.memory.serving import MemoryBlobs
from shared.errors import Unavailable
from shared.ports.blobs import Blob
from shared.scoring import champion as champion_module
from shared.scoring.bundle import MANIFEST, POINTER, digest, path
from shared.telemetry.metrics import MODEL_CREATED, REFUSED, SWAPS
from tests.builders import transaction
from tests.unit.learning.bundles import small_bundle
from tests.unit.log_records import fields
from tests.unit.scoring.bench import Bench

TTL, HOURS = 5, 6 * 3_600
SECOND = 1_000_000


class SlowBlobs(MemoryBlobs):
    """Blobs whose reads of the pointer wait while `gate` is closed, and in which one object may be out of reach."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.asked, self.looks = threading.Event(), threading.Event(), 0
        self.reads = 0
        self.lacking: str | None = None
        self.gate.set()

    def read(self, name: str) -> Blob | None:
        """Return the object as it was when asked for, once the gate is open."""
        if name == self.lacking:
            raise Unavailable("the object does not come")
        found = super().read(name)
        self.reads += 1
        if name == POINTER:
            self.looks += 1
            self.asked.set()
            assert self.gate.wait(60)
        return found


@pytest.fixture
def blobs() -> SlowBlobs:
    return SlowBlobs()


@pytest.fixture
def bench(blobs: SlowBlobs) -> Bench:
    """Return a bench on which `bad` replaced `good`; both are in the bucket."""
    bench = Bench(small_bundle("good"))
    bench.blobs = blobs
    bench.restart()
    bench.serve("good")
    bench.serve("bad")
    return bench


def elsewhere(bench: Bench, version: str) -> None:
    """Move the pointer without a look of this instance."""
    pointer = bench.blobs.objects[POINTER]
    bench.blobs.write(POINTER, pointer.data.replace(b'"bad"', f'"{version}"'.encode()), pointer.generation)


def served_by(bench: Bench) -> list[str | None]:
    return [row.model_version for row in bench.score(transaction())]


def test_a_model_rolled_back_during_a_pause_does_not_decide(bench: Bench) -> None:
    assert served_by(bench) == ["bad"]
    elsewhere(bench, "good")
    bench.time += HOURS * SECOND
    assert served_by(bench) == ["good"]


def test_in_steady_traffic_no_batch_waits_for_a_look(bench: Bench) -> None:
    elsewhere(bench, "good")
    bench.time += (champion_module.STALE_TTLS * TTL - 1) * SECOND
    assert served_by(bench) == ["bad"], "the look runs beside the batch"
    assert served_by(bench) == ["good"]


def test_batches_after_a_pause_share_one_look(bench: Bench, blobs: SlowBlobs) -> None:
    elsewhere(bench, "good")
    bench.time += HOURS * SECOND
    before = blobs.looks

    async def batches() -> list[str | None]:
        models = await asyncio.gather(*(bench.champion.current_now() for _ in range(4)))
        return [model.version if model else None for model in models]

    assert asyncio.run(batches()) == ["good"] * 4
    assert blobs.looks == before + 1


def test_a_bucket_that_does_not_answer_delays_one_batch_and_is_logged(
    bench: Bench, blobs: SlowBlobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.time += HOURS * SECOND
    monkeypatch.setattr(champion_module, "LOOK_SECONDS", 0.05)
    blobs.gate.clear()

    async def batches() -> list[str | None]:
        first = await bench.champion.current_now()
        monkeypatch.setattr(champion_module, "LOOK_SECONDS", 3_600.0)
        second = await bench.champion.current_now()  # would wait for an hour
        blobs.gate.set()
        return [model.version if model else None for model in (first, second)]

    assert asyncio.run(batches()) == ["bad", "bad"]
    (record,) = [each for each in caplog.records if each.getMessage() == "bucket unavailable"]
    assert fields(record) == {"reason": "no answer in time for a batch", "serving": "bad"}


def test_a_look_that_was_frozen_by_the_pause_is_followed_by_another(bench: Bench, blobs: SlowBlobs) -> None:
    bench.time += TTL * SECOND
    blobs.gate.clear()
    blobs.asked.clear()

    async def batches() -> str | None:
        await bench.champion.current_now()
        await asyncio.to_thread(blobs.asked.wait, 60)  # it has read the pointer to `bad`
        elsewhere(bench, "good")
        bench.time += HOURS * SECOND
        blobs.gate.set()
        model = await bench.champion.current_now()
        return model.version if model else None

    assert asyncio.run(batches()) == "good"
    assert bench.metrics.value(SWAPS) == 3


def test_a_bucket_that_fails_after_a_pause_leaves_the_model_in_memory(bench: Bench) -> None:
    bench.time += HOURS * SECOND
    bench.blobs.away = True
    assert served_by(bench) == ["bad"]


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{", b"\xff", b'"\xff"', b"[" * 100_000, b'{"version": 1}', b'{"version": "../v"}'],
)
def test_a_pointer_that_cannot_be_read_changes_nothing(bench: Bench, content: bytes) -> None:
    bench.blobs.write(POINTER, content, bench.blobs.objects[POINTER].generation)
    for _ in range(3):
        bench.champion.look()
    assert served_by(bench) == ["bad"]
    assert bench.metrics.value(REFUSED) == 1


@pytest.mark.parametrize("name", ["golden.npz", "profile.json", "model.onnx"])
def test_a_refused_bundle_is_downloaded_once(bench: Bench, blobs: SlowBlobs, name: str) -> None:
    files = small_bundle("next")
    manifest = files["manifest.json"].replace(digest(files[name]).encode(), digest(b"").encode())
    for each, data in (files | {name: b"", "manifest.json": manifest}).items():
        blobs.write(path("next", each), data, 0)
    elsewhere(bench, "next")
    bench.champion.look()
    before = blobs.reads
    for _ in range(5):
        bench.champion.look()
    assert blobs.reads == before + 2 * 5, "of the pointer and of the switch of the control group alone"
    assert served_by(bench) == ["bad"]
    assert bench.metrics.value(REFUSED) == 1


def test_a_start_waits_until_the_bucket_has_answered_and_asks_it_no_more(bench: Bench, blobs: SlowBlobs) -> None:
    bench.restart()
    blobs.away = True
    bench.champion.look()
    with pytest.raises(Unavailable):
        asyncio.run(bench.champion.reach())
    blobs.away = False
    asyncio.run(bench.champion.reach())
    assert served_by(bench) == ["bad"]
    before = blobs.reads
    blobs.away = True
    asyncio.run(bench.champion.reach())
    assert blobs.reads == before


def test_a_bucket_whose_bundle_does_not_come_has_not_answered(bench: Bench, blobs: SlowBlobs) -> None:
    bench.restart()
    manifest = path("bad", MANIFEST)
    blobs.lacking = manifest
    with pytest.raises(Unavailable):
        asyncio.run(bench.champion.reach())
    blobs.lacking = None
    asyncio.run(bench.champion.reach())
    assert served_by(bench) == ["bad"]


def test_the_age_of_the_serving_model_is_exported(bench: Bench) -> None:
    created = dt.datetime.fromisoformat(bench.champion.current.manifest.created_at)
    assert bench.metrics.value(MODEL_CREATED) == created.timestamp()


@pytest.mark.parametrize("data", [None, b"no pointer", b'{"version": "of nothing"}'])
def test_a_bucket_without_a_model_that_serves_has_answered(
    bench: Bench, blobs: SlowBlobs, data: bytes | None
) -> None:
    if data is None:
        del blobs.objects[POINTER]
    else:
        blobs.write(POINTER, data, blobs.objects[POINTER].generation)
    bench.restart()
    asyncio.run(bench.champion.reach())
    assert served_by(bench) == [None]
