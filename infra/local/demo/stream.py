"""Cut an event file into history and live part."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.contract.events_file import EventFileError, Line, read
from shared.contract.feedback import MedReport, PixReport, SituationType, decode_feedback
from shared.contract.fields import Verdict
from shared.contract.outcome import decode_outcome
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed

LIVE_MIN = 10
"""Fewer cannot be split into the phases of the demo."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The point between history and live part of a stream."""

    line: int
    """Index of the first live line."""
    history: int
    """Transactions before it."""
    live: int
    """Transactions from it on."""
    outcomes: bool
    """Whether the file has the outcomes of its Pix."""
    starts_at: dt.datetime
    live_from: dt.datetime
    ends_at: dt.datetime

    @property
    def history_span(self) -> dt.timedelta:
        """Return the duration of the history."""
        return self.live_from - self.starts_at


def cut(path: Path, live: int | None) -> Cut:
    """Cut before the last `live` transactions (None: a tenth, at most 20,000). Raises EventFileError."""
    places, outcomes = [], False
    for number, line in enumerate(read(path)):
        if line.topic == TRANSACTIONS:
            places.append(number)
        outcomes |= line.topic == OUTCOMES
    if len(places) <= LIVE_MIN:
        raise EventFileError(f"the file has {len(places):,} transactions; the demo needs more than {LIVE_MIN}")
    live = min(20_000, len(places) // 10) if live is None else live
    if not LIVE_MIN <= live < len(places):
        raise EventFileError(
            f"the file has {len(places):,} transactions; LIVE={live} of them leaves too few to stream or no history: "
            f"set LIVE to {LIVE_MIN} to {len(places) - 1}"
        )
    first = places[-live]
    starts_at, live_from, ends_at = _times(path, first)
    return Cut(first, len(places) - live, live, outcomes, starts_at, live_from, ends_at)


def _times(path: Path, first: int) -> tuple[dt.datetime, dt.datetime, dt.datetime]:
    """Return the event times of the start, of the first live line and of the end."""
    times = (moment(line) for line in read(path))
    starts_at = next((at for at in times if at), None)
    live = [at for number, line in enumerate(read(path)) if number >= first and (at := moment(line))]
    if starts_at is None or not live:
        raise EventFileError("no message of the file can be read")
    return starts_at, live[0], live[-1]


def moment(line: Line) -> dt.datetime | None:
    """Return the time of the event, None if its message is malformed."""
    try:
        if line.topic == TRANSACTIONS:
            return decode_transaction(bytes(line.data)).value.initiated_at
        if line.topic == OUTCOMES:
            return decode_outcome(bytes(line.data)).value.at
        return decode_feedback(bytes(line.data)).value.reported_at
    except Malformed:
        return None


def report_delay(path: Path, where: Cut) -> dt.timedelta | None:
    """Return the delay within which 95 % of the confirmed frauds in the history were confirmed; None without any."""
    initiated: dict[str, dt.datetime] = {}
    delays: dict[str, dt.timedelta] = {}
    for line in itertools.islice(read(path), where.line):
        try:
            if line.topic == TRANSACTIONS:
                transaction = decode_transaction(bytes(line.data)).value
                initiated[transaction.end_to_end_id] = transaction.initiated_at
            if line.topic != FEEDBACK:
                continue
            report = decode_feedback(bytes(line.data)).value
        except Malformed:
            continue
        if isinstance(report, PixReport) and report.verdict is Verdict.FRAUD and report.end_to_end_id in initiated:
            delays[report.end_to_end_id] = report.reported_at - initiated[report.end_to_end_id]
    return sorted(delays.values())[int(0.95 * len(delays))] if delays else None


def confirmed_frauds(lines: Iterable[Line]) -> dict[str, str]:
    """Return the situation of each Pix that some lines confirm as fraud, by EndToEndId: the answer to a review."""
    frauds: dict[str, str] = {}
    for line in lines:
        if line.topic != FEEDBACK:
            continue
        try:
            report = decode_feedback(bytes(line.data)).value
        except Malformed:
            continue
        if isinstance(report, PixReport) and report.verdict is Verdict.FRAUD:
            situation = report.situation_type if isinstance(report, MedReport) else SituationType.UNKNOWN
            frauds[report.end_to_end_id] = str(situation)
    return frauds
