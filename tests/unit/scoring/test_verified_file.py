"""A file of a bundle counts only as its manifest has it."""

from __future__ import annotations

import pytest

from shared.adapters.memory.serving import MemoryBlobs
from shared.errors import BundleRefused
from shared.learning.data.profile import read_profile
from shared.learning.judging.suspicion import read_strengths
from shared.ports.blobs import Blob
from shared.scoring.bundle import MANIFEST, path
from shared.scoring.verified_file import read_manifest, verified_file
from tests.unit.learning.bundles import small_bundle


@pytest.fixture
def blobs() -> MemoryBlobs:
    bucket = MemoryBlobs()
    for name, data in small_bundle("v1").items():
        bucket.write(path("v1", name), data, 0)
    return bucket


def test_a_file_is_returned_as_it_was_published(blobs: MemoryBlobs) -> None:
    assert verified_file(blobs, "v1", "policy.json") == small_bundle("v1")["policy.json"]
    assert read_manifest(blobs, "v1").version == "v1"


@pytest.mark.parametrize("data", [None, b"{}"])
def test_an_altered_or_missing_profile_is_not_compared_with(blobs: MemoryBlobs, data: bytes | None) -> None:
    name = path("v1", "profile.json")
    if data is None:
        del blobs.objects[name]
    else:
        blobs.objects[name] = Blob(data, 99)
    for read in (read_profile, read_strengths):
        with pytest.raises(BundleRefused, match=r"profile\.json"):
            read(blobs, "v1")


def test_the_manifest_of_another_version_is_refused(blobs: MemoryBlobs) -> None:
    blobs.objects[path("v2", MANIFEST)] = blobs.objects[path("v1", MANIFEST)]
    with pytest.raises(BundleRefused, match="names another version"):
        read_manifest(blobs, "v2")
