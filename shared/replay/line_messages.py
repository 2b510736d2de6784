"""Messages of a file of events, read and told apart as the functions do with those of live traffic."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np

from shared.contract.event import Event, days
from shared.contract.events_file import Line
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.reading import IN_THE_FUTURE, Clock, read_outcome, read_report, read_transaction
from shared.contract.rows import FeedbackRow, OutcomeRow
from shared.contract.topics import OUTCOMES, TRANSACTIONS
from shared.errors import Malformed, Unavailable
from shared.features.columns import SIDES, Columns
from shared.features.keys import Keys, fingerprints_of, keys_of
from shared.replay.arrow_columns import EVENT_COLUMNS
from shared.replay.line_claims import AGAIN, FIRST, OTHER_SIDE, TAKEN, Claimed, ClaimsNote, Fates, LineClaims
from shared.replay.sources import LeftOut

Message = Event | OutcomeRow | FeedbackRow
_DAY = 86_400_000_000  # microseconds
_encode = msgspec.json.Encoder().encode


class AskedLines(NamedTuple):
    """The transactions of a batch: the values of each field, and the facts that history counts."""

    values: dict[str, Any]
    columns: Columns


class LineMessages:
    """The messages of lines, each once.

    A line that cannot be read, or is dated ahead of the clock, is left out; so is a message that the file repeats, a
    different one under an EndToEndId that its side has claimed, and the other side of a Pix that was asked for.
    """

    def __init__(self, pseudonymiser: Pseudonymiser, clock: Clock) -> None:
        self._pseudonymiser = pseudonymiser
        self._clock = clock
        self._claims = LineClaims()
        self.left_out = LeftOut()

    def parse(self, line: Line) -> Message:
        """Return the message of a line, received at its own time. Raises Malformed, and Unavailable if too early."""
        if line.topic == TRANSACTIONS:
            return read_transaction(bytes(line.data), self._pseudonymiser, self._clock).record
        if line.topic == OUTCOMES:
            outcome = read_outcome(bytes(line.data), self._clock).record
            return msgspec.structs.replace(outcome, received_at=outcome.at)
        report = read_report(bytes(line.data), self._pseudonymiser, self._clock).record
        return msgspec.structs.replace(report, received_at=report.reported_at)

    def read(self, lines: Sequence[Line], forgo: Callable[[str], None]) -> tuple[list[Message], AskedLines]:
        """Return the messages of lines that count, and the transactions among them.

        `forgo` receives the EndToEndId of each outcome that is left out.
        """
        messages = [message for line in lines if (message := self._parsed(line)) is not None]
        events = [message for message in messages if isinstance(message, Event)]
        asked = AskedLines(values := _columnwise(events), Columns.of_fields(values))
        fates = self._fates(messages, events, asked.columns)
        self._count(fates)
        if (fates == FIRST).all():
            return messages, asked
        for message, fate in zip(messages, fates.tolist(), strict=True):
            if fate != FIRST and isinstance(message, OutcomeRow):
                forgo(message.end_to_end_id)
        first = [message for message, fate in zip(messages, fates.tolist(), strict=True) if fate == FIRST]
        values = _columnwise([message for message in first if isinstance(message, Event)])
        return first, AskedLines(values, Columns.of_fields(values))

    def note(self) -> ClaimsNote:
        """Return the claims, for JSON."""
        return self._claims.note()

    def resume(self, left_out: LeftOut, claims: ClaimsNote) -> None:
        """Continue from a note."""
        self.left_out = left_out
        self._claims.resume(claims)

    def _parsed(self, line: Line) -> Message | None:
        try:
            return self.parse(line)
        except Malformed as error:
            ahead = error.reason == IN_THE_FUTURE
        except Unavailable:
            ahead = True
        self.left_out.ahead += ahead
        self.left_out.malformed += not ahead
        return None

    def _fates(self, messages: list[Message], events: list[Event], columns: Columns) -> Fates:
        """Claim messages, and return the fate of each [n]."""
        if not messages:
            return np.empty(0, dtype=np.int8)
        is_event = np.array([isinstance(message, Event) for message in messages], dtype=bool)
        claimed = Claimed.nothing(len(messages))
        claimed.keys[is_event], claimed.others[is_event] = _sides(events, columns)
        claimed.fingerprints[is_event] = columns.fingerprints()
        words = [_word(message) for message in messages if not isinstance(message, Event)]
        claimed.keys[~is_event] = claimed.fingerprints[~is_event] = np.array(words, dtype=np.uint64)
        of_days = np.array([_day(message) for message in messages], dtype=np.int64)
        self._claims.forget(min(map(_time, messages)) // _DAY - 1)
        return self._claims.claim(claimed, of_days)

    def _count(self, fates: Fates) -> None:
        counts = np.bincount(fates, minlength=TAKEN + 1).tolist()
        self.left_out.other_sides += counts[OTHER_SIDE]
        self.left_out.duplicates += counts[AGAIN]
        self.left_out.taken += counts[TAKEN]


def _sides(events: list[Event], columns: Columns) -> tuple[Keys, Keys]:
    """Return the key [n] of each Pix and side, and that of its other side."""
    ids, side = keys_of([event.end_to_end_id for event in events]), columns.side.astype(np.uint64)
    other = np.uint64(len(SIDES) - 1) - side
    return fingerprints_of(np.stack((ids, side), axis=1)), fingerprints_of(np.stack((ids, other), axis=1))


def _word(message: OutcomeRow | FeedbackRow) -> int:
    """Return 64 bits of an outcome or a report, the same at each delivery."""
    return int.from_bytes(hashlib.sha256(_encode(message)).digest()[:8])


def _time(message: Message) -> int:
    if isinstance(message, Event):
        return message.initiated_at
    return message.received_at


def _day(message: Message) -> int:
    """Return the day of a message: that in the id of a Pix, which is the same for every message under the id."""
    return _day_of_id(message.end_to_end_id[9:17]) if isinstance(message, Event) else message.received_at // _DAY


@lru_cache(maxsize=1024)
def _day_of_id(digits: str) -> int:
    return days(dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:])))


def _columnwise(events: list[Event]) -> dict[str, Any]:
    """Return the values of events by field."""
    rows = zip(*map(msgspec.structs.astuple, events), strict=True)
    return dict(zip(EVENT_COLUMNS, rows, strict=True)) if events else dict.fromkeys(EVENT_COLUMNS, ())
