from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import msgspec
import pytest

from shared.adapters.memory.serving import MemoryBlobs
from shared.errors import BundleRefused, Misconfigured, PreconditionFailed, Unavailable
from shared.features import catalogue
from shared.learning.lifecycle.pointer import MoveCause, previous_version, publish, read_pointer, swap
from shared.learning.lifecycle.retraining import retrain
from shared.ports import Blob
from shared.scoring.bundle import FILES, MANIFEST, POINTER, SERVED, Bundle, Manifest, path
from shared.scoring.champion import read_bundle
from tests.unit.learning.synthetic import QUICK, Bench, request, silent

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
CAUSE = MoveCause(NOW, "tests", "to see")


@pytest.fixture(scope="module")
def bundle() -> tuple[str, dict[str, bytes]]:
    bench = Bench()
    version = retrain(bench.services(), QUICK, request("never"), silent).version
    assert version
    return version, {name: bench.blobs.objects[path(version, name)].data for name in (*FILES, MANIFEST)}


class Dying(MemoryBlobs):
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
def test_an_interrupted_publication_serves_nothing_and_can_be_repeated(bundle, writes) -> None:
    version, files = bundle
    blobs = Dying(writes)
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


def test_a_published_version_is_never_overwritten(bundle) -> None:
    version, files = bundle
    blobs = MemoryBlobs()
    publish(blobs, version, files)
    with pytest.raises(PreconditionFailed):
        publish(blobs, version, {**files, "policy.json": b"{}"})
    assert blobs.objects[path(version, "policy.json")].data == files["policy.json"]


def test_of_concurrent_swaps_one_wins(bundle) -> None:
    version, files = bundle
    for _ in range(20):
        blobs, gate = MemoryBlobs(), Barrier(4)
        publish(blobs, version, files)
        read = read_pointer(blobs)

        def attempt(i: int, blobs=blobs, gate=gate, read=read) -> bool:
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


def test_a_swap_whose_response_was_lost_succeeds(bundle) -> None:
    class Deaf(MemoryBlobs):
        def write(self, name: str, data: bytes, if_generation: int) -> int:
            super().write(name, data, if_generation)
            return super().write(name, data, if_generation)  # as a client that tries again

    version, files = bundle
    blobs = Deaf()
    publish(blobs, version, files)
    swap(blobs, read_pointer(blobs), version, CAUSE)
    assert read_pointer(blobs).version == version


def test_a_pointer_without_a_previous_version_cannot_be_rolled_back(bundle) -> None:
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


@pytest.mark.parametrize("name", [*SERVED, MANIFEST])
def test_a_bundle_with_an_altered_or_missing_file_is_refused(bundle, name) -> None:
    files = bundle[1]
    assert Bundle(files)
    data = files[name]
    places = [0, len(data) // 2, len(data) - 1]
    spoilt = [data[:i] + bytes([data[i] ^ 0x10]) + data[i + 1 :] for i in places] + [data[:-1], b""]
    refused = 0
    for variant in spoilt:
        try:
            Bundle({**files, name: variant})
        except BundleRefused:
            refused += 1
    # The manifest is not hashed: a flipped bit inside its free text may leave it valid.
    assert refused == len(spoilt) or (name == MANIFEST and refused >= len(spoilt) - 1)
    with pytest.raises(BundleRefused):
        Bundle({other: content for other, content in files.items() if other != name})


def test_a_bundle_of_features_with_another_meaning_is_refused(bundle, monkeypatch) -> None:
    version, files = bundle
    blobs = MemoryBlobs()
    publish(blobs, version, files)
    monkeypatch.setattr(catalogue, "VERSION", catalogue.VERSION + 1)
    with pytest.raises(BundleRefused, match=r"trained on feature set [0-9a-f]{12}; its features now mean"):
        swap(blobs, read_pointer(blobs), version, CAUSE)
    assert read_pointer(blobs).version is None


def test_a_bundle_without_a_feature_set_is_refused(bundle) -> None:
    files = bundle[1]
    manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
    unnamed = msgspec.json.encode(msgspec.structs.replace(manifest, feature_set=None))
    with pytest.raises(BundleRefused, match="trained on feature set None"):
        Bundle({**files, MANIFEST: unnamed})


def _resealed(files: dict[str, bytes], **changed: bytes) -> dict[str, bytes]:
    """Return the bundle as somebody would make it who knows how to hash."""
    from shared.learning.training.packing import sealed

    content = {name: data for name, data in files.items() if name != MANIFEST}
    content |= {name.replace("__", "."): data for name, data in changed.items()}
    return sealed(content, msgspec.json.decode(files[MANIFEST], type=Manifest))


def test_a_bundle_with_valid_hashes_and_wrong_scores_is_refused(bundle) -> None:
    files = bundle[1]
    assert Bundle(_resealed(files))
    names = msgspec.json.decode(files["features.json"], type=list[str])
    shifted = msgspec.json.encode(names[1:] + names[:1])
    unknown = msgspec.json.encode(["who_knows", *names[1:]])
    steeper = msgspec.json.encode({"x": [0.0, 0.5, 1.0], "y": [0.0, 1.0, 1.0]})
    for changed in (
        {"model__onnx": files["model.joblib"]},
        {"model__onnx": b"\x80\x04K\x01."},
        {"features__json": unknown},
        {"features__json": msgspec.json.encode(names[1:])},
        {"calibration__json": steeper},
        {"golden__npz": files["model.joblib"]},
        {"profile__json": b"{}"},
    ):
        with pytest.raises(BundleRefused):
            Bundle(_resealed(files, **changed))
    assert Bundle(_resealed(files, features__json=shifted))  # the golden vectors speak of inputs, not of names
