"""Publication of bundles, and swaps of the pointer to the one that serves."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import msgspec
import pytest

from shared.adapters.memory.serving import MemoryBlobs
from shared.errors import BundleRefused, Misconfigured, PreconditionFailed, Unavailable
from shared.features import catalogue
from shared.learning.lifecycle.pointer import MoveCause, PointerState, previous_version, publish, read_pointer, swap
from shared.ports.blobs import Blob
from shared.scoring.bundle import FILES, MANIFEST, POINTER, Manifest, path
from shared.scoring.champion import read_bundle

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
CAUSE = MoveCause(NOW, "tests", "to see")


@pytest.fixture
def bundle(trained_bundle: dict[str, bytes]) -> tuple[str, dict[str, bytes]]:
    """The version and the files of a bundle."""
    return msgspec.json.decode(trained_bundle[MANIFEST], type=Manifest).version, trained_bundle


class InterruptedBlobs(MemoryBlobs):
    """A bucket that becomes unavailable after some writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.left = writes

    def write(self, name: str, data: bytes, if_generation: int) -> int:
        if self.left == 0:
            raise Unavailable("cut off")
        self.left -= 1
        return super().write(name, data, if_generation)


@pytest.mark.parametrize("writes", range(len(FILES) + 1))
def test_an_interrupted_publication_serves_nothing_and_can_be_repeated(
    bundle: tuple[str, dict[str, bytes]], writes: int
) -> None:
    version, files = bundle
    blobs = InterruptedBlobs(writes)
    with pytest.raises(Unavailable):
        publish(blobs, version, files)
    with pytest.raises(BundleRefused):
        swap(blobs, read_pointer(blobs), version, CAUSE)
    assert read_pointer(blobs).version is None
    blobs.left = 100
    publish(blobs, version, files)
    swap(blobs, read_pointer(blobs), version, CAUSE)
    assert read_pointer(blobs).version == version
    assert read_bundle(blobs, version).version == version


def test_a_published_version_is_never_overwritten(bundle: tuple[str, dict[str, bytes]]) -> None:
    version, files = bundle
    blobs = MemoryBlobs()
    publish(blobs, version, files)
    with pytest.raises(PreconditionFailed):
        publish(blobs, version, {**files, "policy.json": b"{}"})
    assert blobs.objects[path(version, "policy.json")].data == files["policy.json"]


def test_of_concurrent_swaps_one_wins(bundle: tuple[str, dict[str, bytes]]) -> None:
    version, files = bundle
    for _ in range(20):
        blobs, gate = MemoryBlobs(), Barrier(4)
        publish(blobs, version, files)
        read = read_pointer(blobs)

        def attempt(i: int, blobs: MemoryBlobs = blobs, gate: Barrier = gate, read: PointerState = read) -> bool:
            gate.wait()
            try:
                swap(blobs, read, version, CAUSE._replace(at=NOW + dt.timedelta(seconds=i)))
            except PreconditionFailed:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(attempt, range(4)))
        assert sum(won) == 1
        assert read_pointer(blobs).pointer.swapped_at == (NOW + dt.timedelta(seconds=won.index(True))).isoformat()


def test_a_swap_whose_response_was_lost_succeeds(bundle: tuple[str, dict[str, bytes]]) -> None:
    class RepeatingBlobs(MemoryBlobs):
        def write(self, name: str, data: bytes, if_generation: int) -> int:
            super().write(name, data, if_generation)
            return super().write(name, data, if_generation)  # as a client that tries again

    version, files = bundle
    blobs = RepeatingBlobs()
    publish(blobs, version, files)
    swap(blobs, read_pointer(blobs), version, CAUSE)
    assert read_pointer(blobs).version == version


def test_a_pointer_without_a_previous_version_cannot_be_rolled_back(bundle: tuple[str, dict[str, bytes]]) -> None:
    version, files = bundle
    blobs = MemoryBlobs()
    with pytest.raises(Misconfigured):
        previous_version(read_pointer(blobs))
    publish(blobs, version, files)
    swap(blobs, read_pointer(blobs), version, CAUSE)
    with pytest.raises(Misconfigured):
        previous_version(read_pointer(blobs))


def test_an_invalid_pointer_is_refused_by_name() -> None:
    blobs = MemoryBlobs()
    blobs.objects[POINTER] = Blob(b"not json", 5)
    with pytest.raises(BundleRefused, match="pointer"):
        read_pointer(blobs)


def test_a_bundle_of_features_with_another_meaning_is_refused(
    bundle: tuple[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    version, files = bundle
    blobs = MemoryBlobs()
    publish(blobs, version, files)
    monkeypatch.setattr(catalogue, "VERSION", catalogue.VERSION + 1)
    with pytest.raises(BundleRefused, match=r"trained on feature set [0-9a-f]{12}; its features now mean"):
        swap(blobs, read_pointer(blobs), version, CAUSE)
    assert read_pointer(blobs).version is None
