"""Layout of the records of history: which doubles are kept for an account, a pair and a device, and in what order.

A record is `marks` followed by `counters`, all float64. A mark only ever grows (the latest time, the largest amount;
of a first time its negative), -inf while nothing happened. Mark 0, `touched`, is T: the time at which the record's
counters stand. A counter is a measure decayed with one half-life h. An event at t that weighs w moves a record to
R = max(T, t):

    counter = counter * 2^(-(R - T) / h) + w * 2^(-(R - t) / h)

so that the order of arrival does not matter. What is read at t stands at R too. Times are seconds, amounts BRL.
Source: forward decay, Cormode et al., Forward Decay: A Practical Time Decay Model for Streaming Systems, 2009.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HOUR, DAY = 3600.0, 86400.0
HALF_LIVES: Mapping[str, float] = {"1h": HOUR, "1d": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
"""Half-lives in seconds by the name that reads and features carry."""

SPANS = tuple(HALF_LIVES)
RATES: NDArray[np.float64] = 1.0 / np.array(list(HALF_LIVES.values()))

# What an event or a report may weigh in a counter: the columns of `Facts.weights`.
WEIGHTS = (
    *("nothing", "one", "amount", "square", "log", "log_square", "hour_cos", "hour_sin", "week_cos", "week_sin"),
    *("new_payee", "new_device", "fraud", "cleared"),
)
# What it may raise a mark to: the columns of `Facts.marks`.
MARKS = ("never", "reached", "at", "minus_at", "amount", "at_if_new")


class Measure(NamedTuple):
    """A counter at several half-lives, and the weight that it counts in each role a key may have in an event.

    `weights` maps role to one of WEIGHTS; a role that is not named adds nothing.
    """

    name: str
    spans: tuple[str, ...]
    weights: Mapping[str, str]


class Mark(NamedTuple):
    """A value that only grows, what it is raised to in each role, and how it reads: `last`, `first` or `largest`.

    A last and a first time read as ages, the latter is kept negative; a largest reads as it is.
    """

    name: str
    raised_to: Mapping[str, str]
    reads: str = "last"


class Layout:
    """Where each mark and counter of one kind of record stands."""

    def __init__(self, kind: str, marks: tuple[Mark, ...], measures: tuple[Measure, ...]) -> None:
        self.kind = kind
        self.marks = marks
        self.measures = measures
        spans = [SPANS.index(span) for measure in measures for span in measure.spans]
        self.half_life = np.array(spans, dtype=np.int64)
        """Index into HALF_LIVES of each counter."""
        self.mark_count = len(marks)
        self.width = self.mark_count + len(spans)
        self.names = (*(m.name for m in marks), *(f"{m.name}_{span}" for m in measures for span in m.spans))
        # What is read of a mark at R is R * from_now + mark * of_mark.
        self.from_now = np.array([float(m.reads != "largest") for m in marks])
        self.of_mark = np.array([-1.0 if m.reads == "last" else 1.0 for m in marks])

    def counters(self, name: str) -> slice:
        """Return the place of a measure among the counters.

        >>> CONTACT.counters("amount")
        slice(2, 4, None)
        """
        start = 0
        for measure in self.measures:
            if measure.name == name:
                return slice(start, start + len(measure.spans))
            start += len(measure.spans)
        raise KeyError(name)

    def weight_columns(self, role: str) -> NDArray[np.int64]:
        """Return the column of `Facts.weights` that each counter counts in this role."""
        columns = [WEIGHTS.index(m.weights.get(role, "nothing")) for m in self.measures for _ in m.spans]
        return np.array(columns, dtype=np.int64)

    def mark_columns(self, role: str) -> NDArray[np.int64]:
        """Return the column of `Facts.marks` that each mark is raised to in this role."""
        return np.array([MARKS.index(m.raised_to.get(role, "never")) for m in self.marks], dtype=np.int64)


_ALL = SPANS


def _sent(name: str, spans: tuple[str, ...], weight: str) -> Measure:
    return Measure(name, spans, {"payer": weight})


def _received(name: str, spans: tuple[str, ...], weight: str) -> Measure:
    return Measure(name, spans, {"payee": weight})


ACCOUNT = Layout(
    "account",
    (
        Mark("touched", {"payer": "reached", "payee": "reached"}),
        Mark("first_sent", {"payer": "minus_at"}, "first"),
        Mark("last_sent", {"payer": "at"}),
        Mark("first_received", {"payee": "minus_at"}, "first"),
        Mark("last_received", {"payee": "at"}),
        Mark("last_new_payee", {"payer": "at_if_new"}),
        Mark("largest_sent", {"payer": "amount"}, "largest"),
    ),
    (
        _sent("sent_count", _ALL, "one"),
        _sent("sent_amount", _ALL, "amount"),
        _sent("sent_square", _ALL, "square"),
        _sent("sent_new", _ALL, "new_payee"),
        _sent("sent_log", ("30d",), "log"),
        _sent("sent_log_square", ("30d",), "log_square"),
        _sent("sent_hour_cos", ("30d",), "hour_cos"),
        _sent("sent_hour_sin", ("30d",), "hour_sin"),
        _sent("sent_week_cos", ("30d",), "week_cos"),
        _sent("sent_week_sin", ("30d",), "week_sin"),
        _received("received_count", _ALL, "one"),
        _received("received_amount", _ALL, "amount"),
        _received("received_square", ("7d", "30d"), "square"),
        _received("received_new", _ALL, "new_payee"),
        # Money that came in and went out again: of each amount sent, at most what is left of the amounts received.
        _sent("passed", ("1h", "1d", "7d"), "nothing"),
        _received("frauds_received", ("1d", "7d", "30d"), "fraud"),
        _received("cleared_received", ("1d", "7d", "30d"), "cleared"),
        _sent("frauds_sent", ("7d", "30d"), "fraud"),
        _sent("cleared_sent", ("7d", "30d"), "cleared"),
        # Steps from a confirmed fraud: its payee gets 1; who receives from a tainted account gets HOP of its taint.
        _received("taint", ("7d", "30d"), "fraud"),
    ),
)
CONTACT = Layout(
    "contact",
    (Mark("touched", {"contact": "reached"}), Mark("first", {"contact": "minus_at"}, "first")),
    (
        Measure("count", ("1d", "30d"), {"contact": "one"}),
        Measure("amount", ("1d", "30d"), {"contact": "amount"}),
    ),
)
"""Of payer and payee, and of payer and device."""
DEVICE = Layout(
    "device",
    (
        Mark("touched", {"device": "reached"}),
        Mark("first", {"device": "minus_at"}, "first"),
        Mark("last", {"device": "at"}),
    ),
    (
        Measure("count", ("1h", "30d"), {"device": "one"}),
        Measure("amount", ("1d",), {"device": "amount"}),
        Measure("payers", ("1d", "30d"), {"device": "new_device"}),
        Measure("frauds", ("30d",), {"device": "fraud"}),
        Measure("cleared", ("30d",), {"device": "cleared"}),
    ),
)
LAYOUTS = (ACCOUNT, CONTACT, DEVICE)

HOP = 0.5
"""Share of an account's taint (at most 1) that a Pix from it hands on."""

PASSED = ACCOUNT.counters("passed")
PASSED_FROM = slice(ACCOUNT.counters("received_amount").start, ACCOUNT.counters("received_amount").start + 3)
"""The received amounts at the half-lives of `passed`."""
TAINT = ACCOUNT.counters("taint")

# The records that are read for each event, one after the other.
ROLES = (("payer", ACCOUNT), ("payee", ACCOUNT), ("pair", CONTACT), ("handset", CONTACT), ("device", DEVICE))
OFFSETS: Mapping[str, int] = dict(
    zip(
        (role for role, _ in ROLES),
        np.cumsum([0, *(layout.width for _, layout in ROLES[:-1])]).tolist(),
        strict=True,
    )
)
READ_NAMES = tuple(f"{role}_{name}" for role, layout in ROLES for name in layout.names)
READ_WIDTH = len(READ_NAMES)
