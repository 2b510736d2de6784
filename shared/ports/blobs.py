"""Ports of the bucket of models and of the signing key."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple, Protocol


class Blob(NamedTuple):
    """An object's bytes and the generation they were read at."""

    data: bytes
    generation: int


class Blobs(Protocol):
    """Objects in a bucket."""

    def read(self, name: str) -> Blob | None:
        """Return the object, or None if there is none. Raises Unavailable."""
        ...

    def write(self, name: str, data: bytes, if_generation: int) -> int:
        """Write the object if it is still at `if_generation` (0: absent) and return the new generation.

        Raises PreconditionFailed, Unavailable.
        """
        ...


class Checksum(NamedTuple):
    """The MD5 of an object in hexadecimal digits, and its size in bytes."""

    md5: str
    size: int


class Listed(NamedTuple):
    """The name of an object and the time of its last write."""

    name: str
    updated_at: dt.datetime


class Shelf(Protocol):
    """Objects in a bucket, listed and deleted by prefix."""

    def listed(self, prefix: str) -> list[Listed]:
        """Return the objects under `prefix`, by name. Raises Unavailable, Misconfigured."""
        ...

    def delete(self, prefix: str) -> None:
        """Delete the objects under `prefix`. Raises Unavailable, Misconfigured."""
        ...


class Signer(Protocol):
    """The private key of those who may make a model serve."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message: of Ed25519, or of ECDSA on P-256 with SHA-256, in DER.

        Raises Unavailable, Misconfigured.
        """
        ...
