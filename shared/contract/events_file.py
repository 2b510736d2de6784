"""Files of events: one `{"topic": ..., "data": {...}}` per line, in time order."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from shared.contract.topics import FEEDBACK, TRANSACTIONS
from shared.errors import PixError


class EventFileError(PixError):
    """The file is damaged or is not a file of events; the text names the line and the fault."""


class Line(msgspec.Struct, frozen=True):
    """One line: the topic and the message, as bytes that are published unchanged."""

    topic: str
    data: msgspec.Raw


_SHAPE = '{"topic": "pix-transactions"|"pix-feedback", "data": {...}}'
_decode = msgspec.json.Decoder(Line).decode


def read(path: Path) -> Iterator[Line]:
    """Yield the lines of an event file (`.gz` is unpacked). Raises EventFileError with the number of a bad line."""
    try:
        with _open(path) as file:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    yield _parse(text, number)
    except OSError as error:
        raise EventFileError(f"{path}: {error.strerror or error}") from error
    except (EOFError, zlib.error) as error:
        raise EventFileError(f"{path} is cut off or damaged: {error}") from error


def _parse(text: bytes, number: int) -> Line:
    try:
        line = _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EventFileError(f"line {number} is not {_SHAPE} ({type(error).__name__})") from error
    if line.topic not in (TRANSACTIONS, FEEDBACK):
        raise EventFileError(f"line {number} names neither {TRANSACTIONS} nor {FEEDBACK} as its topic")
    return line


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value] # GzipFile reads like IO[bytes]
