"""Snapshots of history in a bucket: immutable objects, and one pointer that lists the snapshots that are kept.

history/<name>/accounts-000000   keys, then records, of one part of a table
history/<name>/manifest.json     the parts
history/current.json             the kept snapshots, the newest first; replaced by compare-and-swap

The pointer is written last, so a job that is killed leaves the snapshots of before.
"""

from __future__ import annotations

import datetime as dt
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from shared.errors import Misconfigured
from shared.features.keys import Keys
from shared.features.layout import CONTACT, LAYOUTS, Layout
from shared.features.packing import packed, unpacked
from shared.features.shards import ONLY, Shard
from shared.features.state import LAYOUT_ID, Records, State
from shared.ports.blobs import Blob, Blobs, Shelf
from shared.replay.mark import Tally

FOLDER = "history/"
POINTER = FOLDER + "current.json"
PART_BYTES = 16 * 1024 * 1024
"""Of an object: few enough that a slow connection sends it in time."""
_THREADS = 4
_UNFINISHED_FOR = dt.timedelta(days=1)
_LAYOUTS = {layout.kind: layout for layout in LAYOUTS}
_NO_KEYS: Keys = np.empty(0, dtype=np.uint64)
"""Objects of a snapshot that is not in the pointer are kept for that long: it may still be written, or be read."""


class Snapshot(Struct, frozen=True):
    """A snapshot of a shard in the bucket: its last place, the changes up to there, and the layout of its records.

    `hmac_key` is the fingerprint of the key of the pseudonyms that its records are named by, None if it is not known.
    """

    name: str
    place: int
    tally: Tally
    layout: str
    made_at: dt.datetime
    shard: Shard = ONLY
    hmac_key: str | None = None


class SnapshotRetention(NamedTuple):
    """The snapshots to keep of each shard: the last ones, and the last one of each of the last days with one."""

    last: int = 24
    days: int = 22
    """A row may come as late as a message lives, 21 days; then an older snapshot is needed, made before its place."""

    def kept(self, snapshots: Iterable[Snapshot]) -> list[Snapshot]:
        """Return the snapshots to keep, the newest first; none of a history that was divided into other shards.

        Those of each HMAC key are kept for themselves, as long as new ones of it are made.
        """
        found = sorted(snapshots, key=lambda each: (each.place, each.made_at), reverse=True)
        newest = max(found, key=lambda each: each.made_at)
        since = newest.made_at - dt.timedelta(days=max(self.days, 1))
        keys, names = {each.hmac_key for each in found if each.made_at >= since}, set[str]()
        for shard in Shard.each(newest.shard.shards):
            for key in keys:
                names |= self._kept([each for each in found if (each.shard, each.hmac_key) == (shard, key)])
        return [each for each in found if each.name in names]

    def _kept(self, own: Sequence[Snapshot]) -> set[str]:
        """Return the names of those to keep of one shard and key."""
        daily: dict[dt.date, Snapshot] = {}
        for each in own:
            daily.setdefault(each.made_at.date(), each)
        return {each.name for each in [*own[: self.last], *list(daily.values())[: self.days]]}


class _Pointer(Struct):
    snapshots: list[Snapshot] = []


class Listing(NamedTuple):
    """The snapshots in the pointer, the newest first, and the generation at which it was read."""

    snapshots: list[Snapshot]
    generation: int


class _Part(Struct, frozen=True):
    kind: str
    number: int
    rows: int
    crc: int


class Snapshots:
    """The snapshots of history in one bucket."""

    def __init__(self, blobs: Blobs, shelf: Shelf, part_bytes: int = PART_BYTES) -> None:
        """`blobs` and `shelf` are the same bucket."""
        self._blobs = blobs
        self._shelf = shelf
        self._part_bytes = part_bytes

    def listing(self) -> Listing:
        """Return the snapshots in the pointer. Raises Unavailable, Misconfigured."""
        found = self._blobs.read(POINTER)
        return Listing(_decoded(found).snapshots, found.generation) if found else Listing([], 0)

    def save(
        self,
        state: State,
        tally: Tally,
        now: dt.datetime,
        advance: Callable[[int], None],
        shard: Shard = ONLY,
        hmac_key: str | None = None,
    ) -> Snapshot:
        """Write the objects of a shard's state, without the pointer. `advance` receives the records of each part.

        Raises Unavailable, Misconfigured.
        """
        name = f"{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
        parts = []
        with ThreadPoolExecutor(_THREADS) as threads:
            for part in threads.map(lambda piece: self._write(name, *piece), self._pieces(state)):
                parts.append(part)
                advance(part.rows)
        self._blobs.write(_manifest(name), msgspec.json.encode(parts), 0)
        return Snapshot(name, state.sequence, tally, LAYOUT_ID, now, shard, hmac_key)

    def publish(self, snapshot: Snapshot, before: Listing, retention: SnapshotRetention) -> None:
        """List a saved snapshot in the pointer that was read as `before`, and remove those that are kept no longer.

        Raises PreconditionFailed if another job was first, Unavailable, Misconfigured.
        """
        kept = retention.kept([snapshot, *before.snapshots])
        self._blobs.write(POINTER, msgspec.json.encode(_Pointer(kept)), before.generation)
        listed = {each.name for each in before.snapshots}
        self._remove({each.name for each in kept}, listed, snapshot.made_at)

    def load(self, snapshot: Snapshot) -> State:
        """Return the state of a snapshot. Raises Misconfigured if it is damaged or of another layout, Unavailable."""
        if snapshot.layout != LAYOUT_ID:
            raise Misconfigured(f"the snapshot {snapshot.name} is of another layout of history")
        manifest = self._blobs.read(_manifest(snapshot.name))
        if manifest is None:
            raise _damaged(snapshot.name)
        parts = _decoded_parts(manifest, snapshot.name)
        sizes = {each.kind: sum(part.rows for part in parts if part.kind == each.kind) for each in LAYOUTS}
        tables = {layout.kind: _room(sizes[layout.kind], layout) for layout in LAYOUTS}
        payers = np.empty(sizes[CONTACT.kind], np.uint64)
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(lambda placed: self._read(snapshot.name, tables, payers, *placed), _placed(parts)))
        return State(tuple(tables.values()), snapshot.place, payers)

    def drop(self, hmac_key: str) -> None:
        """List the snapshots of an HMAC key no longer. Raises PreconditionFailed, Unavailable, Misconfigured."""
        before = self.listing()
        kept = [each for each in before.snapshots if each.hmac_key != hmac_key]
        if kept != before.snapshots:
            self._blobs.write(POINTER, msgspec.json.encode(_Pointer(kept)), before.generation)
        for each in before.snapshots:
            if each not in kept:
                self._shelf.delete(f"{FOLDER}{each.name}/")

    def clear(self) -> None:
        """Remove every snapshot; no job lists one that it has begun. Raises PreconditionFailed, Unavailable."""
        self._blobs.write(POINTER, msgspec.json.encode(_Pointer()), self.listing().generation)
        for name in sorted({_name_in(each.name) for each in self._shelf.listed(FOLDER)} - {""}):
            self._shelf.delete(f"{FOLDER}{name}/")

    def _pieces(self, state: State) -> Iterator[tuple[Layout, int, Records, Keys]]:
        """Yield the layout and number of each part, its records, and the payers of contacts; all are views."""
        for layout, (keys, records) in zip(LAYOUTS, state.tables, strict=True):
            rows = max(1, self._part_bytes // _row_bytes(layout))
            for number, start in enumerate(range(0, len(keys), rows)):
                part = slice(start, start + rows)
                payers = state.payers[part] if layout is CONTACT else _NO_KEYS
                yield layout, number, Records(keys[part], records[part]), payers

    def _write(self, name: str, layout: Layout, number: int, records: Records, payers: Keys) -> _Part:
        keys = (each.astype("<u8").tobytes() for each in (records.keys, payers))
        data = b"".join((*keys, packed(layout, records.records).tobytes()))
        self._blobs.write(_object(name, layout.kind, number), data, 0)
        return _Part(layout.kind, number, len(records.keys), zlib.crc32(data))

    def _read(self, name: str, tables: dict[str, Records], payers: Keys, part: _Part, start: int) -> None:
        """Read a part into its place in the tables. Raises Misconfigured, Unavailable."""
        keys, records = tables[part.kind]
        layout = _LAYOUTS[part.kind]
        found = self._blobs.read(_object(name, part.kind, part.number))
        size = part.rows * _row_bytes(layout)
        if found is None or zlib.crc32(found.data) != part.crc or len(found.data) != size:
            raise _damaged(name)
        where = slice(start, start + part.rows)
        keys[where] = np.frombuffer(found.data, "<u8", part.rows)
        if layout is CONTACT:
            payers[where] = np.frombuffer(found.data, "<u8", part.rows, offset=8 * part.rows)
        rows = np.frombuffer(found.data, layout.packed, offset=size - part.rows * layout.packed.itemsize)
        records[where] = unpacked(layout, rows)

    def _remove(self, kept: set[str], listed: set[str], now: dt.datetime) -> None:
        """Remove the objects of snapshots that are kept no longer, or that a job left unfinished."""
        removed = listed.copy()
        for each in self._shelf.listed(FOLDER):
            if each.updated_at < now - _UNFINISHED_FOR:
                removed.add(_name_in(each.name))
        for name in sorted(removed - kept - {""}):
            self._shelf.delete(f"{FOLDER}{name}/")


def _name_in(name: str) -> str:
    """Return the name of the snapshot that an object belongs to, none for the pointer."""
    found, slash, _ = name.removeprefix(FOLDER).partition("/")
    return found if slash else ""


def _room(rows: int, layout: Layout) -> Records:
    return Records(np.empty(rows, np.uint64), np.empty((rows, layout.width)))


def _row_bytes(layout: Layout) -> int:
    """Return the bytes of a record in a part: its key, the payer of a contact, and its stored form."""
    return (16 if layout is CONTACT else 8) + layout.packed.itemsize


def _placed(parts: Iterable[_Part]) -> Iterator[tuple[_Part, int]]:
    """Yield each part and the row at which it begins in its table."""
    used: dict[str, int] = {}
    for part in parts:
        start = used.get(part.kind, 0)
        used[part.kind] = start + part.rows
        yield part, start


def _decoded(pointer: Blob | None) -> _Pointer:
    if pointer is None:
        return _Pointer()
    try:
        return msgspec.json.decode(pointer.data, type=_Pointer)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Misconfigured(f"{POINTER} lists no snapshots ({type(error).__name__})") from error


def _decoded_parts(manifest: Blob, name: str) -> list[_Part]:
    try:
        return msgspec.json.decode(manifest.data, type=list[_Part])
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise _damaged(name) from error


def _object(name: str, kind: str, number: int) -> str:
    return f"{FOLDER}{name}/{kind}-{number:06d}"


def _manifest(name: str) -> str:
    return f"{FOLDER}{name}/manifest.json"


def _damaged(name: str) -> Misconfigured:
    return Misconfigured(f"the snapshot {name} is damaged or incomplete")
