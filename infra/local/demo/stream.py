"""A file of events in time order, cut into history and live part."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from shared.contract.feedback import decode_feedback
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed
from shared.serving.label_service import TOPIC as FEEDBACK
from shared.serving.score_service import TOPIC as TRANSACTIONS


class EventFileError(Exception):
    """The file is not what it should be; the text says where and how."""


class Line(msgspec.Struct, frozen=True):
    """One line: the topic and the message, as bytes that are published unchanged."""

    topic: str
    data: msgspec.Raw


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


def _parse(text: bytes, number: int) -> Line:
    try:
        line = _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EventFileError(
            f'line {number} is not {{"topic": "pix-transactions"|"pix-feedback", "data": {{...}}}} ({type(error).__name__})'
        ) from error
    if line.topic not in (TRANSACTIONS, FEEDBACK):
        raise EventFileError(f"line {number} names neither {TRANSACTIONS} nor {FEEDBACK} as its topic")
    return line


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a stream is cut: lines before `line` are history, the others are streamed; times in microseconds."""

    line: int
    history: int
    live: int
    starts_at: dt.datetime
    live_from: dt.datetime
    ends_at: dt.datetime

    @property
    def history_span(self) -> dt.timedelta:
        """Return how long the history lasts."""
        return self.live_from - self.starts_at


def cut(path: Path, live: int | None) -> Cut:
    """Return where the last `live` transactions begin (None: a tenth, at most 20,000). Raises EventFileError."""
    places = [number for number, line in enumerate(read(path)) if line.topic == TRANSACTIONS]
    live = min(20_000, len(places) // 10) if live is None else live
    if not 0 < live < len(places):
        raise EventFileError(
            f"the file has {len(places):,} transactions: LIVE={live} leaves nothing to stream, or no history before it"
        )
    first = places[-live]
    starts_at, live_from, ends_at = _times(path, first)
    return Cut(first, len(places) - live, live, starts_at, live_from, ends_at)


def _times(path: Path, first: int) -> tuple[dt.datetime, dt.datetime, dt.datetime]:
    """Return when the stream starts, when its live part starts, and when it ends."""
    times = [None, None, None]
    for number, line in enumerate(read(path)):
        at = moment(line) if times[0] is None or number >= first else None
        if at is not None:
            times[0] = times[0] or at
            if number >= first:
                times[1] = times[1] or at
                times[2] = at
    if times[0] is None or times[1] is None or times[2] is None:
        raise EventFileError("no message of the file can be read")
    return times[0], times[1], times[2]


def moment(line: Line) -> dt.datetime | None:
    """Return when the event happened, or None if its message is malformed."""
    try:
        if line.topic == TRANSACTIONS:
            return decode_transaction(bytes(line.data)).value.initiated_at
        return decode_feedback(bytes(line.data)).value.reported_at
    except Malformed:
        return None
