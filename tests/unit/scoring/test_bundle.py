"""Bundles with altered, missing or inconsistent files are refused."""

from __future__ import annotations

import msgspec
import pytest

from shared.errors import BundleRefused
from shared.scoring.bundle import MANIFEST, SERVED, Bundle, Manifest


@pytest.mark.parametrize("name", [*SERVED, MANIFEST])
def test_a_bundle_with_an_altered_or_missing_file_is_refused(trained_bundle: dict[str, bytes], name: str) -> None:
    files = trained_bundle
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


def test_a_bundle_without_a_feature_set_is_refused(trained_bundle: dict[str, bytes]) -> None:
    files = trained_bundle
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


def test_a_bundle_with_valid_hashes_and_wrong_scores_is_refused(trained_bundle: dict[str, bytes]) -> None:
    files = trained_bundle
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
