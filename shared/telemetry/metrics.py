"""Metrics of serving, kept in this process until they are exported.

The OpenTelemetry SDK takes several microseconds and a lock for each value; here a batch costs a few dictionary
look-ups, and the SDK is imported only if a collector is set (`shared.adapters.otel`).

To add a metric, define it below and record it; METRICS and the export find it by themselves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Literal, NamedTuple

import numpy as np

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_MANY = 16  # values from which NumPy is faster than a loop
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """An instrument of OpenTelemetry; its description is exported with it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    """In UCUM, as OpenTelemetry demands."""
    description: str
    label: str = ""
    """Name of the attribute by which its series differ; empty if there is one series."""
    bounds: tuple[float, ...] = ()
    """Upper bounds of the buckets of a histogram; a last bucket has none."""


STAGE = Metric(
    "pix.stage.duration",
    "histogram",
    "s",
    "Time of a batch in a stage; `total` is of each message, from its body to its stored row",
    "stage",
    SECONDS,
)
BATCH = Metric("pix.batch.size", "histogram", "{message}", "Messages that were handled together", "", SIZES)
QUEUE = Metric(
    "pix.queue.length", "histogram", "{message}", "Messages that waited on when a batch was taken", "", (0.0, *SIZES)
)
MESSAGES = Metric("pix.messages", "counter", "{message}", "Deliveries by the status of their answer", "status")
ANSWERS = Metric("pix.answers", "counter", "{answer}", "Answers over HTTP by their status", "status")
QUARANTINED = Metric("pix.quarantined", "counter", "{message}", "Messages that cannot be used, by reason", "reason")
UNKNOWN_FIELDS = Metric("pix.unknown_fields", "counter", "{field}", "Fields that the contract does not know")
UNKNOWN_VALUES = Metric(
    "pix.unknown_values", "counter", "{value}", "Values that the contract does not know, scored as OTHER", "field"
)
SCORED = Metric("pix.scored", "counter", "{transaction}", "Transactions by step of the degrade ladder", "step")
DECISIONS = Metric("pix.decisions", "counter", "{transaction}", "Transactions by decision", "decision")
CONTROL_DRAWN = Metric(
    "pix.control.drawn",
    "counter",
    "{transaction}",
    "Transactions that the control group decided one step milder, by that decision",
    "decision",
)
CONTROL_SPENT = Metric("pix.control.spent", "counter", "{BRL}", "Cost of these: amounts paid, and reviews")
GOOD = Metric(
    "pix.good", "counter", "{transaction}", "Legitimate transactions by the scores: the sum of 1 - score", "side"
)
GOOD_REJECTED = Metric(
    "pix.good.rejected",
    "counter",
    "{transaction}",
    "Of the legitimate transactions by the scores, those that a model rejects and no rule does",
    "side",
)
LATE = Metric("pix.late", "counter", "{transaction}", "Transactions scored after their deadline")
MODEL = Metric("pix.model.serving", "gauge", "1", "1 for the version that serves, 0 for one that did", "version")
MODEL_CREATED = Metric(
    "pix.model.created", "gauge", "s", "Time of the training of the model that serves, since the epoch"
)
SWAPS = Metric("pix.model.swaps", "counter", "{swap}", "Times that another model began to serve")
MODEL_FAILURES = Metric(
    "pix.model.failures",
    "counter",
    "{transaction}",
    "Transactions that a model could not score (`score`), or not explain (`reasons`)",
    "part",
)
CHALLENGER_SCORED = Metric(
    "pix.challenger.scored", "counter", "{transaction}", "Transactions that a challenger scored, in the shadow or not"
)
CHALLENGER_SECONDS = Metric(
    "pix.challenger.duration",
    "histogram",
    "s",
    "Processor time of a challenger for the Pix of a batch",
    "",
    SECONDS,
)
CHALLENGER_FAILURES = Metric(
    "pix.challenger.failures",
    "counter",
    "{transaction}",
    "Transactions that a challenger could not score (`score`), or not explain (`reasons`)",
    "part",
)
CHALLENGER_DROPPED = Metric(
    "pix.challenger.dropped",
    "counter",
    "{challenger}",
    "Challengers that this instance tries no longer: refused, failing or slow",
    "reason",
)
REFUSED = Metric("pix.model.refused", "counter", "{bundle}", "Bundles and pointers that were refused")
HISTORY = Metric("pix.history.calls", "counter", "{call}", "Calls of the store of history, by outcome", "outcome")
SUSPICIONS = Metric(
    "pix.suspicions.readings", "counter", "{reading}", "Readings of the register of suspicions, by outcome", "outcome"
)
APPENDED = Metric("pix.append.rows", "counter", "{row}", "Rows stored, by table", "table")
RETRIES = Metric("pix.append.retries", "counter", "{request}", "Requests that took a new stream, by table", "table")
FAILED_APPENDS = Metric("pix.append.failures", "counter", "{request}", "Appends that were not answered", "table")
REFUSED_ROWS = Metric("pix.append.refused", "counter", "{row}", "Rows that their table refused, by table", "table")

METRICS = tuple(each for each in list(globals().values()) if isinstance(each, Metric))
"""Every metric of this module."""


@dataclass(slots=True)
class Distribution:
    """The values of a histogram: their number in each bucket (upper bounds inclusive), sum, minimum and maximum."""

    counts: list[int]
    sum: float = 0.0
    least: float = float("inf")
    most: float = -float("inf")

    @property
    def count(self) -> int:
        """Return the number of values."""
        return sum(self.counts)


class Series(NamedTuple):
    """One metric under one label: a number, or the distribution of a histogram, cumulative since the start."""

    metric: Metric
    label: str
    value: float | Distribution


class Metrics:
    """The values of all metrics in this process; `snapshot` copies them for an export.

    >>> metrics = Metrics()
    >>> metrics.add(QUARANTINED, 2, "too_large")
    >>> metrics.record(STAGE, 0.003, "model")
    >>> metrics.value(QUARANTINED, "too_large"), metrics.distribution(STAGE, "model").count
    (2, 1)
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[Metric, str], float] = {}
        self._distributions: dict[tuple[Metric, str], Distribution] = {}

    def add(self, metric: Metric, by: float = 1, label: str = "") -> None:
        """Add `by` to a counter."""
        key = (metric, label)
        self._numbers[key] = self._numbers.get(key, 0) + by

    def add_each(self, metric: Metric, labels: Iterable[str]) -> None:
        """Add one to a counter for each label."""
        for label in labels:
            self.add(metric, 1, label)

    def set(self, metric: Metric, value: float, label: str = "") -> None:
        """Set a gauge."""
        self._numbers[metric, label] = value

    def record(self, metric: Metric, value: float, label: str = "") -> None:
        """Record one value in a histogram."""
        kept = self.distribution(metric, label)
        kept.counts[bisect_left(metric.bounds, value)] += 1
        kept.sum += value
        kept.least, kept.most = min(kept.least, value), max(kept.most, value)

    def record_all(self, metric: Metric, values: Sequence[float], label: str = "") -> None:
        """Record many values in a histogram at once."""
        if len(values) < _MANY:
            for value in values:
                self.record(metric, value, label)
            return
        kept, array = self.distribution(metric, label), np.asarray(values, dtype=np.float64)
        times = np.bincount(np.searchsorted(metric.bounds, array), minlength=len(kept.counts))
        kept.counts = [n + more for n, more in zip(kept.counts, times.tolist(), strict=True)]
        kept.sum += float(array.sum())
        kept.least, kept.most = min(kept.least, float(array.min())), max(kept.most, float(array.max()))

    @contextmanager
    def timed(self, metric: Metric, label: str = "") -> Iterator[None]:
        """Record the duration of the block in seconds, unless the block raises."""
        began = perf_counter()
        yield
        self.record(metric, perf_counter() - began, label)

    def value(self, metric: Metric, label: str = "") -> float:
        """Return the value of a counter or gauge."""
        return self._numbers.get((metric, label), 0)

    def counters(self) -> dict[str, float]:
        """Return the value of each counter, by name and label.

        >>> metrics = Metrics()
        >>> metrics.add(DECISIONS, 3, "HOLD")
        >>> metrics.counters()
        {'decisions.HOLD': 3}
        """
        return {
            f"{metric.name.removeprefix('pix.')}{label and '.'}{label}": value
            for (metric, label), value in list(self._numbers.items())
            if metric.kind == "counter"
        }

    def distribution(self, metric: Metric, label: str = "") -> Distribution:
        """Return the distribution of a histogram."""
        key = (metric, label)
        kept = self._distributions.get(key)
        if kept is None:
            kept = self._distributions[key] = Distribution([0] * (len(metric.bounds) + 1))
        return kept

    def snapshot(self) -> list[Series]:
        """Return a copy of every series, safe to be read in another thread."""
        numbers = [Series(metric, label, value) for (metric, label), value in list(self._numbers.items())]
        return numbers + [
            Series(metric, label, Distribution(list(kept.counts), kept.sum, kept.least, kept.most))
            for (metric, label), kept in list(self._distributions.items())
        ]
