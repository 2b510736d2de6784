"""Files of events: one `{"topic": ..., "data": {...}}` per line, in UTF-8, plain or gzipped whatever their name."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from shared.contract.fields import Instant
from shared.contract.topics import FEEDBACK, OUTCOMES, TOPICS, TRANSACTIONS
from shared.errors import PixError


class EventFileError(PixError):
    """The file is damaged or is not a file of events; the text names the line and the fault."""


class Line(msgspec.Struct, frozen=True):
    """One line: the topic and the message, as bytes that are published unchanged."""

    topic: str
    data: msgspec.Raw


class _Times(msgspec.Struct, frozen=True):
    initiated_at: Instant | None = None
    at: Instant | None = None
    reported_at: Instant | None = None


class _TimedLine(msgspec.Struct, frozen=True):
    topic: str
    data: _Times


LINE_BYTES_MAX = 1 << 20
"""More than any message may have, which is then quarantined; a file without line ends must not fill the memory."""

_SHAPE = '{"topic": "pix-transactions"|"pix-outcomes"|"pix-feedback", "data": {...}}'
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_BUFFER_BYTES = 1 << 18
_FOREIGN = {
    b"\xff\xfe": "UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8",
    b"{\0": "UTF-16 text: convert it with iconv -f UTF-16LE -t UTF-8",
    b"\0{": "UTF-16 text: convert it with iconv -f UTF-16BE -t UTF-8",
    b"PK\x03\x04": "a zip archive: unpack it, or compress it with gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it, or compress it with gzip",
    b"\xfd7zXZ": "compressed with xz: unpack it, or compress it with gzip",
    b"BZh": "compressed with bzip2: unpack it, or compress it with gzip",
    b"PAR1": "Parquet: name it .parquet, for jobs.replay",
    _GZIP: "gzipped twice: unpack it once",
}
_decode = msgspec.json.Decoder(Line).decode
_decode_times = msgspec.json.Decoder(_TimedLine).decode


def read(path: Path) -> Iterator[Line]:
    """Yield the lines of an event file. Raises EventFileError with the number of a bad line."""
    for number, text in lines(path):
        yield _parse(text, number)


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield number and text of each line that is not blank. Raises EventFileError if the file cannot be read."""
    number = 0
    try:
        with _open(path) as file:
            for number, text in enumerate(iter(partial(file.readline, LINE_BYTES_MAX), b""), start=1):
                if len(text) == LINE_BYTES_MAX:
                    raise EventFileError(f"{path}: line {number} is longer than {LINE_BYTES_MAX >> 20} MiB")
                if text := text.removeprefix(_BOM).strip():
                    yield number, text
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise EventFileError(f"{path} is cut off or damaged after line {number}: {error}") from error
    except OSError as error:
        raise EventFileError(f"{path}: {error.strerror or error}") from error


def time_of(text: bytes, number: int) -> dt.datetime | None:
    """Return the time of an event, `initiated_at`, `at` or `reported_at`; None if its message has no valid one.

    Raises EventFileError with the number of a bad line.
    """
    try:
        line = _decode_times(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        _parse(text, number)
        return None
    times = {TRANSACTIONS: line.data.initiated_at, OUTCOMES: line.data.at, FEEDBACK: line.data.reported_at}
    if line.topic not in times:
        raise _wrong_topic(number)
    return times[line.topic]


def _parse(text: bytes, number: int) -> Line:
    try:
        line = _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EventFileError(_refusal(text, number, error)) from error
    if line.topic not in TOPICS:
        raise _wrong_topic(number)
    return line


def _wrong_topic(number: int) -> EventFileError:
    return EventFileError(f"line {number} names none of {', '.join(TOPICS)} as its topic")


def _refusal(text: bytes, number: int, error: Exception) -> str:
    foreign = next((kind for magic, kind in _FOREIGN.items() if number == 1 and text.startswith(magic)), None)
    if foreign:
        return f"line 1 is not {_SHAPE}: the file is {foreign}"
    return f"line {number} is not {_SHAPE} ({type(error).__name__})"


class _Unpacked(io.RawIOBase):
    """Gzipped bytes for a buffer, which reads lines faster than GzipFile.

    GzipFile's own `readinto` fails at damage anywhere in the buffer, before the lines in front of it are read.
    """

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def _open(path: Path) -> Iterator[io.BufferedIOBase]:
    with io.BufferedReader(io.FileIO(path), _BUFFER_BYTES) as raw:
        if raw.peek(len(_GZIP)).startswith(_GZIP):
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield io.BufferedReader(_Unpacked(unpacked), _BUFFER_BYTES)
        else:
            yield raw
