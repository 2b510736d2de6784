"""Layout of the records of history: the doubles of an account, a pair and a device, in order.

A record is `marks` followed by `counters`, all float64. A mark only ever grows (the latest time, the largest amount;
of a first time its negative), -inf while nothing happened. Mark 0, `touched`, is T: the time to which the record's
counters are decayed. A counter is a measure decayed with one half-life h. An event at t of weight w moves a record
to R = max(T, t):

    counter = counter * 2^(-(R - T) / h) + w * 2^(-(R - t) / h)

so that the order of arrival does not matter. A read at t is decayed to R too. Times are seconds, amounts BRL.
Source: forward decay, Cormode et al., Forward Decay: A Practical Time Decay Model for Streaming Systems, 2009.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HOUR, DAY = 3600.0, 86400.0
HALF_LIVES: Mapping[str, float] = {"1h": HOUR, "1d": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
"""Half-lives in seconds, by their name in reads and features."""

SPANS = tuple(HALF_LIVES)
RATES: NDArray[np.float64] = 1.0 / np.array(list(HALF_LIVES.values()))

# The columns of `Facts.weights`: the weights that an event or a report may have in a counter.
WEIGHTS = (
    *("nothing", "one", "amount", "square", "log", "log_square", "hour_cos", "hour_sin", "week_cos", "week_sin"),
    *("new_payee", "new_device", "fraud", "cleared"),
)
# The columns of `Facts.marks`: the values to which it may raise a mark.
MARKS = ("never", "reached", "at", "minus_at", "amount", "at_if_new")


class Measure(NamedTuple):
    """A counter at several half-lives, and the weight it adds for each role of its record in an event.

    `weights` maps role to one of WEIGHTS; any other role adds nothing.
    """

    name: str
    spans: tuple[str, ...]
    weights: Mapping[str, str]


class Mark(NamedTuple):
    """A value that only grows, to one of MARKS in each role; `reads` is `last`, `first` or `largest`.

    Last and first times are read as ages, and first times are stored negated; a largest amount is read unchanged.
    """

    name: str
    raised_to: Mapping[str, str]
    reads: str = "last"


class Layout:
    """The position of each mark and counter in one kind of record."""

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
        # A mark reads at R as R * from_now + mark * of_mark.
        self.from_now = np.array([float(m.reads != "largest") for m in marks])
        self.of_mark = np.array([-1.0 if m.reads == "last" else 1.0 for m in marks])

    def counters(self, name: str) -> slice:
        """Return the slice of a measure in the counters.

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
        # Money passed on: of each amount sent, at most the decayed amount received.
        _sent("passed", ("1h", "1d", "7d"), "nothing"),
        _received("frauds_received", ("1d", "7d", "30d"), "fraud"),
        _received("cleared_received", ("1d", "7d", "30d"), "cleared"),
        _sent("frauds_sent", ("7d", "30d"), "fraud"),
        _sent("cleared_sent", ("7d", "30d"), "cleared"),
        # Nearness to confirmed fraud: its payee gets 1, and the payee of a tainted account gets HOP of that taint.
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
"""A pair of payer and payee, or of payer and device."""
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
"""Share of an account's taint (at most 1) that a Pix passes to its payee."""

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
