"""The files of a bundle, read so that whatever a bucket holds ends in BundleRefused."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.errors import BundleRefused

T = TypeVar("T")

VERSION = "^[0-9A-Za-z._-]{1,64}$"
"""A name of a version."""
GOLDEN_BYTES = 64 << 20  # unpacked: a hundred times the size that a training writes


class _Reference(Struct, frozen=True):
    median: float | None


class _Profile(Struct, frozen=True):
    features: dict[str, _Reference]


def decoded(files: Mapping[str, bytes], name: str, kind: type[T]) -> T:
    """Return a JSON file of a bundle. Raises BundleRefused."""
    if name not in files:
        raise BundleRefused(f"{name} is missing")
    with refused(f"{name} cannot be decoded"):
        return msgspec.json.decode(files[name], type=kind)


@contextmanager
def refused(message: str) -> Iterator[None]:
    """Turn any exception of the block into BundleRefused: no list of the errors that a file may cause is whole."""
    try:
        yield
    except BundleRefused:
        raise
    except Exception as error:
        detail = str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__
        raise BundleRefused(f"{message}: {detail}") from error


def baseline(files: Mapping[str, bytes], names: list[str]) -> NDArray[np.float32]:
    """Return the median of each input, float32 [F]; NaN where an input is usually missing. Raises BundleRefused."""
    features = decoded(files, "profile.json", _Profile).features
    if missing := [name for name in names if name not in features]:
        raise BundleRefused(f"profile.json has no median of {missing[:5]}")
    medians = [features[name].median for name in names]
    with np.errstate(over="ignore"):
        found = np.array([math.nan if m is None else m for m in medians], dtype=np.float32)
    if np.isinf(found).any():
        raise BundleRefused("profile.json has a median that is not a float32")
    return found


def golden(data: bytes) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the golden vectors [k, F] and their scores [k]. Raises BundleRefused, and any error in an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        if sum(each.file_size for each in files.infolist()) > GOLDEN_BYTES:
            raise BundleRefused(f"golden.npz holds more than {GOLDEN_BYTES} bytes")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        vectors, expected = arrays["features"], arrays["scores"]
    if vectors.ndim != 2 or expected.shape != (len(vectors),) or vectors.dtype != np.float32 or not len(vectors):
        raise BundleRefused(f"golden.npz has {vectors.dtype} vectors {vectors.shape} and scores {expected.shape}")
    if np.isinf(vectors).any() or not np.isfinite(expected).all():
        raise BundleRefused("golden.npz has values that are not finite")
    return vectors, expected
