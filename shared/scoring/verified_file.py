"""One file of a bundle, as its signed manifest vouches for it."""

from __future__ import annotations

from shared.errors import BundleRefused
from shared.ports.blobs import Blobs
from shared.scoring.bundle import MANIFEST, Manifest, digest, path
from shared.scoring.bundle_files import decoded


def verified_file(blobs: Blobs, version: str, name: str) -> bytes:
    """Return a file of a bundle. Raises BundleRefused, Unavailable."""
    manifest = read_manifest(blobs, version)
    data = read_file(blobs, version, name)
    if manifest.files.get(name) != digest(data):
        raise BundleRefused(f"{version}: {name} does not have the SHA-256 in the manifest")
    return data


def read_manifest(blobs: Blobs, version: str) -> Manifest:
    """Return the manifest of a bundle. Raises BundleRefused, Unavailable."""
    manifest = decoded({MANIFEST: read_file(blobs, version, MANIFEST)}, MANIFEST, Manifest)
    if manifest.version != version:
        raise BundleRefused(f"the manifest of {version} names another version")
    return manifest


def read_file(blobs: Blobs, version: str, name: str) -> bytes:
    """Return a file of a bundle, for which nothing vouches yet. Raises BundleRefused, Unavailable."""
    blob = blobs.read(path(version, name))
    if blob is None:
        raise BundleRefused(f"{version}: {name} is missing")
    return blob.data
