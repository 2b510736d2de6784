"""The bucket of models as those see it who trust its writers in nothing: files that decide are read signed or not.

Pointer, manifests, the switch of the control group and the measured recovery are signed; a manifest vouches for the
other files of its bundle. `SignedBlobs` stands before the bucket in the composition roots, so all above it read and
write plain content, and who has no key can write none of it.

A signature stays valid, so an old pointer may be written back. Each signed object that is replaced has a counter,
the time of its signing in microseconds, and always more than that of the object before:

- who has seen a counter refuses lower ones of the same name;
- who has seen none, a new instance, asks the bucket when the object was written, which no writer can choose, and
  refuses one that was signed more than WRITE_SECONDS before: it was put back.

The risk left: for WRITE_SECONDS after a move, a new instance may be shown the pointer that was replaced, and who may
delete can take the pointer away, after which running instances keep their model and new ones decide by rules.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from shared.errors import Misconfigured, Untrusted
from shared.ports.blobs import Blob, Blobs, Listed, Shelf, Signer
from shared.scoring.bundle import POINTER
from shared.scoring.control import CONTROL
from shared.scoring.signature import Address, Content, PublicKey, Unsigned, signed, verified

RECOVERY = "measured/recovery.json"
REPLACED = (POINTER, CONTROL, RECOVERY)
"""Signed objects that are replaced; a manifest is written once."""
WRITE_SECONDS = 300.0
"""Longest time from a signature to the write of its object: a write is tried for 30 s, and clocks differ."""
_MANIFEST = re.compile(r"models/[0-9A-Za-z._-]{1,64}/manifest\.json")


class Bucket(Blobs, Shelf, Protocol):
    """A bucket whose objects can be listed and deleted, too."""


class Trust(NamedTuple):
    """The keys whose signatures count, and the environment that these have to be for: the name of the bucket."""

    keys: Sequence[PublicKey]
    environment: str


class _Seen(NamedTuple):
    """The last verified object of a name."""

    generation: int
    content: Content


class SignedBlobs:
    """`shared.ports.blobs.Blobs` and `Shelf`; objects that decide are verified when read, and signed when written."""

    def __init__(
        self,
        bucket: Bucket,
        trust: Trust,
        signer: Signer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Without a `signer`, nothing that is signed can be written; `clock` is in seconds since the epoch."""
        self._bucket = bucket
        self._trust = trust
        self._signer = signer
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._lock = threading.Lock()

    def read(self, name: str) -> Blob | None:
        """Return the object, or None if there is none; of a signed one, the signed content.

        Raises Untrusted if nobody trusted has signed it, or a later one was seen. Raises Unavailable.
        """
        blob = self._bucket.read(name)
        if blob is None or not is_signed(name):
            return blob
        seen = self._seen.get(name)
        if seen is None or seen.generation != blob.generation:
            seen = self._verified(name, blob)
        return Blob(seen.content.payload, blob.generation)

    def write(self, name: str, data: bytes, if_generation: int) -> int:
        """Write the object as `Blobs.write` does, signed if it is one of those.

        Raises PreconditionFailed, Unavailable, and Misconfigured without a key that is trusted.
        """
        if is_signed(name):
            data = self._signed(name, data)
        return self._bucket.write(name, data, if_generation)

    def listed(self, prefix: str) -> list[Listed]:
        """Return the objects under `prefix`, by name. Raises Unavailable, Misconfigured."""
        return self._bucket.listed(prefix)

    def delete(self, prefix: str) -> None:
        """Delete the objects under `prefix`. Raises Unavailable, Misconfigured."""
        self._bucket.delete(prefix)

    def _verified(self, name: str, blob: Blob) -> _Seen:
        """Return the content of an object, and remember the counter of one that is replaced. Raises Untrusted."""
        try:
            content = verified(blob.data, Address(self._trust.environment, name), self._trust.keys)
        except Unsigned as error:
            raise Untrusted(f"{name}: {error}", blob.generation) from None
        found = _Seen(blob.generation, content)
        if name not in REPLACED:
            return found
        if name not in self._seen:
            self._require_fresh(name, found)
        with self._lock:
            known = self._seen.get(name, found)
            if content.counter < known.content.counter:
                raise Untrusted(f"{name}: it was signed before one that was seen, and put back", blob.generation)
            self._seen[name] = found
        return found

    def _require_fresh(self, name: str, found: _Seen) -> None:
        """Raise Untrusted if an object was written long after it was signed. Raises Unavailable."""
        written = [each.updated_at.timestamp() for each in self._bucket.listed(name) if each.name == name]
        if written and written[0] - found.content.counter / 1e6 > WRITE_SECONDS:
            raise Untrusted(f"{name}: it was written long after it was signed, so put back", found.generation)

    def _signed(self, name: str, data: bytes) -> bytes:
        """Return content signed. Raises Misconfigured, Unavailable."""
        if self._signer is None:
            raise Misconfigured(f"{name} has to be signed, and PIX_MODEL_SIGNER names no key: this account may not")
        seen, now = self._seen.get(name), int(self._clock() * 1e6)
        counter = max(now, seen.content.counter + 1) if seen else now
        address = Address(self._trust.environment, name)
        made = signed(address, Content(data, counter), self._signer)
        try:
            verified(made, address, self._trust.keys)
        except Unsigned as error:
            raise Misconfigured(f"PIX_MODEL_SIGNER is the key of none of PIX_MODEL_KEYS: {error}") from None
        return made


def is_signed(name: str) -> bool:
    """Return whether an object of the bucket counts only if it is signed.

    >>> is_signed("models/current.json"), is_signed("models/v1/manifest.json"), is_signed("models/v1/model.onnx")
    (True, True, False)
    """
    return name in REPLACED or _MANIFEST.fullmatch(name) is not None
