"""Layout of the records of history: the values of accounts, contacts, devices and persons, in order.

A record is `marks` followed by `counters`. A mark only ever grows (the latest time, the largest amount; of a first
time its negative), -inf while nothing happened. Mark 0, `touched`, is T: the time to which the record's counters are
decayed. A counter is a measure decayed over one span. A fact at t of weight w moves a record to R = max(T, t):

    counter = counter * decay(T, R) + w * decay(t, R)

so that the order of arrival matters no more than rounding, and a fact is taken back by its negative. A read at t is
decayed to R too. The decay of a half-life h is 2^(-(R - t) / h); that of a period is 1 within the period and 0 across
its end, by which a counter is an exact sum; that of `ever` is 1. Times are whole seconds, as a record holds them in
four bytes and no feature is finer; amounts are BRL, but sums of limits centavos.
Source: forward decay, Cormode et al., Forward Decay: A Practical Time Decay Model for Streaming Systems, 2009.

A record is computed in float64, and after each fact rounded to the precision of its stored form: float32, but sums of
limits float64, as float32 is exact to 167,772.16 BRL only. So every recurrence has the same values, in whichever
batches the facts come. A float32 counts to 16,777,216, where it stays: only the largest merchants pass that.

A contact that nothing touched for CONTACT_SECONDS is forgotten, but for having been there: it reads as SEEN, and
starts again with its next Pix. A fact that comes that much after its time changes no contact.

A Pix is *asked* for, and may be *settled*. An ask counts in the measures `asked_*` and in the sums of limits; all
else counts once it settled, with weights that are known when it was asked (`shared.features.facts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HOUR, DAY = 3600.0, 86400.0
BEHIND_UTC = 3 * HOUR
"""Local time: Brasília, UTC-3 all year since daylight saving ended (Decreto 9.772/2019)."""
HALF_LIVES: Mapping[str, float] = {"1h": HOUR, "1d": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
"""Half-lives in seconds, by their name in reads and features."""
PERIODS: Mapping[str, float] = {"day": BEHIND_UTC, "night": BEHIND_UTC + DAY / 2}
"""Periods of one day by name, and when they start, in seconds after midnight UTC: local midnight, and local noon."""

CONTACT_SECONDS = 90 * DAY
"""Time since its last Pix after which a contact is forgotten: of a single Pix, its longest counter has 1/8 left."""
SEEN = 0.125
"""The count over 30 days at which a forgotten contact reads."""
NEW = 1e-3
"""A settled count up to this is none, but the rounding of Pix taken back: a contact that is not forgotten has 1/8."""

SPANS = tuple(HALF_LIVES)
ALL_SPANS = (*HALF_LIVES, *PERIODS, "ever")
RATES: NDArray[np.float64] = 1.0 / np.array(list(HALF_LIVES.values()))
STARTS: NDArray[np.float64] = np.array(list(PERIODS.values()))

# The columns of `Facts.weights`: the weights that a fact may have in a counter.
WEIGHTS = (
    *("nothing", "asked", "asked_amount", "day", "night", "unregistered"),
    *("one", "amount", "square", "log", "log_square", "hour_cos", "hour_sin", "week_cos", "week_sin"),
    *("new_payee", "new_device", "passed_1h", "passed_1d", "passed_7d", "taint_7d", "taint_30d"),
    *("returned", "blocked", "fraud", "victim", "cleared", "hop", "hop_depth", "recovery", "marker"),
)
# The columns of `Facts.marks`: the values to which it may raise a mark.
MARKS = ("never", "reached", "at", "minus_at", "amount", "at_if_new")


def decay(since: NDArray[np.float64], until: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share [n, len(ALL_SPANS)] that is left at `until` [n] of a count at `since` [n].

    >>> decay(np.array([0.0]), np.array([DAY])).round(3).tolist()
    [[0.0, 0.5, 0.906, 0.977, 0.0, 0.0, 1.0]]
    """
    left = np.empty((len(since), len(ALL_SPANS)))
    left[:, : len(RATES)] = np.exp2((since - until)[:, None] * RATES)
    left[:, len(RATES) : -1] = periods(since) == periods(until)
    left[:, -1] = 1.0
    return left


def periods(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the number [n, len(PERIODS)] of each period at `at` [n]."""
    return np.floor((at[:, None] - STARTS) / DAY)


class Measure(NamedTuple):
    """A counter over several spans, and the weight it adds for each role of its record in a fact.

    `weights` maps role to one of WEIGHTS, or to the stem of one for each span; any other role adds nothing.
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

    def __init__(
        self, kind: str, marks: tuple[Mark, ...], measures: tuple[Measure, ...], lasts: float = np.inf
    ) -> None:
        self.kind = kind
        self.marks = marks
        self.measures = measures
        self.lasts = lasts
        """Seconds since its last fact after which a record is forgotten."""
        spans = [ALL_SPANS.index(span) for measure in measures for span in measure.spans]
        self.span = np.array(spans, dtype=np.int64)
        """Index into ALL_SPANS of each counter."""
        self.mark_count = len(marks)
        self.width = self.mark_count + len(spans)
        self.names = (*(m.name for m in marks), *(f"{m.name}_{span}" for m in measures for span in m.spans))
        # A mark reads at R as R * from_now + mark * of_mark.
        self.from_now = np.array([float(m.reads != "largest") for m in marks])
        self.of_mark = np.array([-1.0 if m.reads == "last" else 1.0 for m in marks])
        first, last = len(RATES), len(ALL_SPANS) - 1
        self.period = np.array([span - first if first <= span < last else -1 for span in spans], dtype=np.int64)
        """Index into PERIODS of each counter, -1 for any other span."""
        used, self._places = np.unique(self.span, return_inverse=True)
        self._halved = bool((used < first).all())
        """Whether all counters have half-lives."""
        self._rates = RATES[used[used < first]]
        self.types = (*(_TYPES[m.reads] for m in marks), *("f8" if period >= 0 else "f4" for period in self.period))
        """The stored type of each value: u4 a time in seconds, f4 or f8 a number."""
        self.packed = np.dtype(list(zip(self.names, self.types, strict=True)))
        """The stored form, without gaps: times without their sign, and 0 while nothing happened."""
        self.signs = np.array([{"last": 1.0, "first": -1.0}[m.reads] for m in marks if m.reads != "largest"])
        """The sign of each time; times come before other marks."""
        single = np.diff([0, *(kind == "f4" for kind in self.types), 0])
        starts, ends = (np.flatnonzero(single == way).tolist() for way in (1, -1))
        self.single: tuple[tuple[int, int], ...] = tuple(zip(starts, ends, strict=True))
        """Start and end of each run of values that are stored as float32."""
        self.blank = np.concatenate((np.full(len(marks), -np.inf), np.zeros(len(spans))))
        """A record before its first fact."""

    def decay(self, since: NDArray[np.float64], until: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share [n, counters] that is left at `until` [n] of each counter at `since` [n].

        >>> CONTACT.decay(np.array([0.0]), np.array([DAY])).round(3).tolist()
        [[0.5, 0.977, 0.5, 0.977]]
        """
        if self._halved:
            return np.exp2((since - until)[:, None] * self._rates).take(self._places, axis=1)
        return decay(since, until).take(self.span, axis=1)

    def round(self, records: NDArray[np.float64]) -> None:
        """Round records [n, width], in place, to the precision of their stored form.

        >>> record = np.array([[1e9 + 1, -1e9, 0.1, 0.1, 0.1, 0.1]])
        >>> CONTACT.round(record)
        >>> record[0, :3].tolist()
        [1000000001.0, -1000000000.0, 0.10000000149011612]
        """
        for start, end in self.single:
            records[:, start:end] = records[:, start:end].astype(np.float32)

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
        columns = [_column(m.weights.get(role, "nothing"), span) for m in self.measures for span in m.spans]
        return np.array(columns, dtype=np.int64)

    def mark_columns(self, role: str) -> NDArray[np.int64]:
        """Return the column of `Facts.marks` that each mark is raised to in this role."""
        return np.array([MARKS.index(m.raised_to.get(role, "never")) for m in self.marks], dtype=np.int64)


_TYPES = {"last": "u4", "first": "u4", "largest": "f4"}


def _column(weight: str, span: str) -> int:
    return WEIGHTS.index(weight if weight in WEIGHTS else f"{weight}_{span}")


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
        # Asked for, whether or not it was paid.
        _sent("asked_out", ("1h", "1d", "7d"), "asked"),
        _sent("asked_out_amount", ("1d",), "asked_amount"),
        _received("asked_in", ("1h", "1d", "7d"), "asked"),
        # Sums of limits, settled or in flight.
        _sent("limit", ("day",), "day"),
        _sent("limit_night", ("night",), "night"),
        # Settled.
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
        _sent("passed", ("1h", "1d", "7d"), "passed"),
        _received("returned", ("30d",), "returned"),
        _received("blocked", ("30d",), "blocked"),
        # Judged.
        _received("frauds_received", ("1d", "7d", "30d"), "fraud"),
        _received("cleared_received", ("1d", "7d", "30d"), "cleared"),
        _sent("frauds_sent", ("7d", "30d"), "victim"),
        _sent("cleared_sent", ("7d", "30d"), "cleared"),
        # Nearness to confirmed fraud: its payee gets 1, and the payee of a tainted account gets HOP of that taint.
        _received("taint", ("7d", "30d"), "taint"),
        # Reports of later hops of a stolen sum (MED 2.0), and the sum of their hops.
        _received("hops", ("7d", "30d"), "hop"),
        _received("hop_depth", ("30d",), "hop_depth"),
        _received("recoveries", ("30d",), "recovery"),
    ),
)
CONTACT = Layout(
    "contact",
    (Mark("touched", {"contact": "reached"}), Mark("first", {"contact": "minus_at"}, "first")),
    (
        Measure("count", ("1d", "30d"), {"contact": "one"}),
        Measure("amount", ("1d", "30d"), {"contact": "amount"}),
    ),
    CONTACT_SECONDS,
)
"""A pair of payer and payee, or of payer and device, between which a Pix settled."""
SEEN_BY = CONTACT.names.index("count_30d")
"""The value of a contact by which it was there, if above NEW."""
SEEN_READS = np.array([{"count_1d": 0.0, "count_30d": SEEN}.get(name, np.nan) for name in CONTACT.names])
"""The reads of a forgotten contact: no ages and no amounts."""
DEVICE = Layout(
    "device",
    (
        Mark("touched", {"device": "reached"}),
        Mark("first", {"device": "minus_at"}, "first"),
        Mark("last", {"device": "at"}),
    ),
    (
        Measure("asked", ("1h", "1d"), {"device": "asked"}),
        Measure("count", ("1h", "30d"), {"device": "one"}),
        Measure("amount", ("1d",), {"device": "amount"}),
        Measure("payers", ("1d", "30d"), {"device": "new_device"}),
        Measure("frauds", ("30d",), {"device": "fraud"}),
        Measure("cleared", ("30d",), {"device": "cleared"}),
    ),
)
PERSON = Layout(
    "person",
    (Mark("touched", {"customer": "reached"}),),
    (Measure("unregistered", ("day",), {"customer": "unregistered"}),),
)
"""A person who pays: the sum of a day from unregistered devices, over all accounts."""
HOLDER = Layout(
    "holder",
    (Mark("touched", {"holder": "reached"}),),
    (Measure("markers", ("ever",), {"holder": "marker"}),),
)
"""A person or a key (chave) that is paid: the fraud markers in force that were reported to us."""
LAYOUTS = (ACCOUNT, CONTACT, DEVICE, PERSON, HOLDER)

HOP = 0.5
"""Share of an account's taint (at most 1) that a Pix passes to its payee."""


class Role(NamedTuple):
    """A record that a fact names: its column of keys, its layout, and the role of the layout in which it counts."""

    name: str
    layout: Layout
    counts_as: str


ROLES = (
    Role("payer", ACCOUNT, "payer"),
    Role("payee", ACCOUNT, "payee"),
    Role("pair", CONTACT, "contact"),
    Role("handset", CONTACT, "contact"),
    Role("device", DEVICE, "device"),
    Role("customer", PERSON, "customer"),
    Role("owner", HOLDER, "holder"),
    Role("key", HOLDER, "holder"),
)
"""The records of a fact, in the order in which they are read."""
OFFSETS: Mapping[str, int] = dict(
    zip(
        (role.name for role in ROLES),
        np.cumsum([0, *(role.layout.width for role in ROLES[:-1])]).tolist(),
        strict=True,
    )
)
READ_NAMES = tuple(f"{role.name}_{name}" for role in ROLES for name in role.layout.names)
READ_WIDTH = len(READ_NAMES)
READS: Mapping[str, int] = {name: place for place, name in enumerate(READ_NAMES)}
"""Column of each value in reads."""
