"""The folder of a result: files of decisions, a manifest that is written last, and nothing that looks whole before.

========================  =========================================================================================
`part-*.parquet`          decisions with the columns of `scoring.SCHEMA`, a file for each span of time that has any
`report.json`, `.html`    the costs of the version on the labelled Pix of the period, where there are such
`manifest.json`           the version, rules and period, and rows, size and SHA-256 of every other file
========================  =========================================================================================

A folder without `manifest.json` is unfinished. Neither names an engine, so the results of two engines are the same
bytes.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct
from pyarrow import fs

from shared.batch.inputs import located
from shared.batch.scoring import SCHEMA
from shared.batch.spans import Slice, divided, file_name, ordered, require_distinct
from shared.errors import Misconfigured, Unavailable

MANIFEST = "manifest.json"
RESULTS = "batch/"
"""The folder of the data bucket that is meant for results: the account of Spark may write there, and they expire."""
WORK = "_work"
"""The folder of decisions that are not sorted yet; it is removed at the end."""
ROW_GROUP = 65_536
_REPEATING = ["side", "decision", "hold_until", "reasons.list.element", "model_version"]
"""Columns with few values, whose dictionary is small; that of ids and scores would be built and given up."""
_OURS = ("part-", "report.", ".part-", WORK)
"""Beginnings of the names that an unfinished run may have left."""


class ResultFile(Struct, frozen=True):
    """A file of a result, with its rows, bytes and SHA-256; `decisions` are its rows by decision."""

    name: str
    rows: int
    bytes: int
    sha256: str
    decisions: dict[str, int] = {}


class ResultManifest(Struct, frozen=True):
    """Content of `manifest.json`; times are in microseconds, None for no limit."""

    version: str
    explained: str
    rules_sha256: str
    since: int | None
    until: int | None
    span_hours: int
    rows: int
    decisions: dict[str, int]
    files: list[ResultFile]


class ResultFolder(NamedTuple):
    """The folder of a result, by path or URI; it can be pickled."""

    place: str

    def claim(self) -> None:
        """Make the folder, and remove the files of an unfinished run. Raises Misconfigured, Unavailable.

        Misconfigured if there is a whole result, or anything else that a run did not make.
        """
        storage, path = located(self.place)
        with _answering(self.place):
            storage.create_dir(path, recursive=True)
            found = [each.base_name for each in storage.get_file_info(fs.FileSelector(path))]
            if MANIFEST in found:
                raise Misconfigured(f"{self.place} has a result already: name another folder")
            if foreign := sorted(name for name in found if not name.startswith(_OURS)):
                raise Misconfigured(f"{self.place} has other files ({foreign[0]}): name an empty folder")
        self.clear()

    def clear(self) -> None:
        """Remove the files of an unfinished run. Raises Unavailable."""
        storage, path = located(self.place)
        with _answering(self.place):
            for each in storage.get_file_info(fs.FileSelector(path, allow_not_found=True)):
                if each.base_name == MANIFEST or not each.base_name.startswith(_OURS):
                    continue
                remove = storage.delete_dir if each.type == fs.FileType.Directory else storage.delete_file
                remove(each.path)

    def spill(self, decisions: pa.Table, hours: int) -> list[Slice]:
        """Keep decisions until `finish`, sorted and divided by spans; return the slices. Raises Unavailable."""
        storage, path = located(self.place)
        name = f"{WORK}/{uuid.uuid4().hex}.arrow"
        parts = list(divided(ordered(decisions), hours))
        if not parts:
            return []
        with _answering(self.place):
            storage.create_dir(f"{path}/{WORK}", recursive=True)
            with storage.open_output_stream(f"{path}/{name}") as stream, pa.ipc.new_file(stream, SCHEMA) as file:
                for _, rows in parts:
                    file.write_table(rows)
        return [Slice(span, name, place, len(rows)) for place, (span, rows) in enumerate(parts)]

    def finish(self, span: int, slices: Iterable[Slice], hours: int) -> ResultFile:
        """Write the file of a span from its slices. Raises Misconfigured, Unavailable.

        All slices of a span are in memory, and once more in order: about 250 bytes for a row.
        """
        storage, path = located(self.place)
        with _answering(self.place):
            rows = ordered(pa.concat_tables([self._slice(storage, path, each) for each in slices]))
        require_distinct(rows)
        return self._parquet(file_name(span, hours), rows)

    def write(self, name: str, content: bytes) -> ResultFile:
        """Write a file at once. Raises Unavailable."""

        return self._written(name, 0, {}, lambda stream: stream.write(content))

    def seal(self, manifest: ResultManifest) -> None:
        """Remove the work folder, then write the manifest: the result is whole. Raises Unavailable."""
        storage, path = located(self.place)
        with _answering(self.place):
            if storage.get_file_info(f"{path}/{WORK}").type == fs.FileType.Directory:
                storage.delete_dir(f"{path}/{WORK}")
        self.write(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")

    def _slice(self, storage: fs.FileSystem, path: str, own: Slice) -> pa.Table:
        with storage.open_input_file(f"{path}/{own.file}") as stream:
            return pa.Table.from_batches([pa.ipc.open_file(stream).get_batch(own.place)], SCHEMA)

    def _parquet(self, name: str, rows: pa.Table) -> ResultFile:
        """Write decisions in row groups of ROW_GROUP: one writer, so equal rows are equal bytes."""

        def parquet(stream: _Hashing) -> None:
            sink = pa.PythonFile(stream, "w")
            with pq.ParquetWriter(sink, SCHEMA, compression="zstd", use_dictionary=_REPEATING) as writer:
                for start in range(0, len(rows), ROW_GROUP):
                    group = rows.slice(start, ROW_GROUP)
                    writer.write_table(pa.concat_tables([group]).combine_chunks(), row_group_size=ROW_GROUP)

        return self._written(name, len(rows), counted(rows), parquet)

    def _written(
        self, name: str, rows: int, decisions: dict[str, int], write: Callable[[_Hashing], object]
    ) -> ResultFile:
        """Write a file under another name, and rename it once it is whole."""
        storage, path = located(self.place)
        unfinished = f"{path}/.part-{uuid.uuid4().hex}"
        with _answering(self.place):
            with storage.open_output_stream(unfinished) as stream:
                hashing = _Hashing(stream)
                write(hashing)
            storage.move(unfinished, f"{path}/{name}")
        return ResultFile(name, rows, hashing.size, hashing.sha256, decisions)


def counted(rows: pa.Table) -> dict[str, int]:
    """Return the number of rows of each decision."""
    found = pc.value_counts(rows["decision"].combine_chunks()).to_pylist()
    return {each["values"]: each["counts"] for each in sorted(found, key=lambda each: each["values"])}


def total(files: Sequence[ResultFile]) -> dict[str, int]:
    """Return the number of rows of each decision in all files."""
    counter: Counter[str] = Counter()
    for file in files:
        counter.update(file.decisions)
    return dict(sorted(counter.items()))


def by_span(slices: Iterable[Slice]) -> Mapping[int, list[Slice]]:
    """Return the slices of each span, in the order of time."""
    found: dict[int, list[Slice]] = {}
    for each in slices:
        found.setdefault(each.span, []).append(each)
    return dict(sorted(found.items()))


class _Hashing(io.RawIOBase):
    """A stream that knows the size and the SHA-256 of the bytes that pass through it."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream, self._hash, self.size = stream, hashlib.sha256(), 0

    @property
    def sha256(self) -> str:
        """The digest of all bytes so far."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: object) -> int:
        """Pass bytes on."""
        content = memoryview(data)  # type: ignore[arg-type] # any buffer
        self._stream.write(content)
        self._hash.update(content)
        self.size += content.nbytes
        return content.nbytes


@contextmanager
def _answering(place: str) -> Iterator[None]:
    """Turn the errors of a storage into Unavailable."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{place} cannot be written: {type(error).__name__}") from error
