"""Models are swapped under a running function, and a bad one changes nothing."""

import datetime as dt
from functools import partial

import msgspec
import pytest

from infra.local.cloud import LocalCloud
from shared.learning.lifecycle.pointer import MoveCause, publish, read_pointer, swap
from shared.scoring.bundle import MANIFEST, POINTER, Manifest, Pointer, digest, path
from shared.scoring.signed_blobs import SignedBlobs
from tests.builders import encoded, push_body, transaction
from tests.functions.test_score import scores
from tests.functions.world import deliver, url
from tests.waiting import until

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
CAUSE = MoveCause(NOW, "tests", "to see")


@pytest.fixture(scope="module")
def blobs(cloud: LocalCloud) -> SignedBlobs:
    return cloud.models()


def renamed(bundle: dict[str, bytes], version: str, **changed: bytes) -> dict[str, bytes]:
    """Return the files of a bundle under another version, with some of them changed and the manifest in step."""
    files = {**bundle, **{name.replace("__", "."): data for name, data in changed.items()}}
    manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
    hashes = {name: digest(data) for name, data in files.items() if name != MANIFEST}
    files[MANIFEST] = msgspec.json.encode(msgspec.structs.replace(manifest, version=version, files=hashes))
    return files


def scored_by(cloud: LocalCloud) -> str | None:
    """Return the model version that scores now."""
    message = transaction()
    assert deliver(url(cloud, "score"), [push_body(encoded(message))]) == [204]
    (row,) = scores(cloud, [message])
    assert row.degraded == (row.score is None) == (row.model_version is None)
    version: str | None = row.model_version
    return version


def scores_by(cloud: LocalCloud, version: str) -> bool:
    return scored_by(cloud) == version


def test_a_swap_serves_within_seconds_and_a_bad_bundle_never(
    cloud: LocalCloud, blobs: SignedBlobs, trained_bundle: dict[str, bytes]
) -> None:
    for version in ("v1", "v2"):
        publish(blobs, version, renamed(trained_bundle, version))
        swap(blobs, read_pointer(blobs), version, CAUSE)
        until(partial(scores_by, cloud, version))

    onnx = trained_bundle["model.onnx"]
    bad = {
        "flipped": renamed(trained_bundle, "flipped") | {"model.onnx": onnx[:-9] + bytes([onnx[-9] ^ 1]) + onnx[-8:]},
        "truncated": renamed(trained_bundle, "truncated", model__onnx=onnx[: len(onnx) // 2]),
        "pickle": renamed(trained_bundle, "pickle", model__onnx=trained_bundle["model.skops"]),
        "features": renamed(trained_bundle, "features", features__json=b'["no_such_feature"]'),
        "golden": renamed(trained_bundle, "golden", calibration__json=b'{"x": [0.0, 1.0], "y": [0.5, 0.6]}'),
    }
    for version, files in bad.items():
        publish(blobs, version, files)
        force(blobs, version)
        until(partial(refused, cloud, version))
        assert scored_by(cloud) == "v2"
    force(blobs, "v1")
    until(lambda: scored_by(cloud) == "v1")


def force(blobs: SignedBlobs, version: str) -> None:
    """Move the pointer without any check, as an accident would."""
    before = blobs.read(POINTER)
    assert before
    pointer = Pointer(version=version, swapped_at=NOW.isoformat())
    blobs.write(POINTER, msgspec.json.encode(pointer), before.generation)
    assert blobs.read(path(version, MANIFEST)) is not None


def refused(cloud: LocalCloud, version: str) -> bool:
    scored_by(cloud)  # the function looks at the pointer while it works
    lines = (cloud.home / "score.log").read_text().splitlines()
    return any('"model refused"' in line and f'"{version}"' in line for line in lines)
