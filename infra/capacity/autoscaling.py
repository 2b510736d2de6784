"""Simulate Pub/Sub push and Cloud Run autoscaling over a day, second by second.

Pub/Sub: the push window grows exponentially up to 3,000 outstanding requests and linearly beyond, and halves when
requests are refused. Above 1 s per push it falls back to 3,000. Refusals also pause delivery for 0.1 to 60 s
(https://cloud.google.com/pubsub/docs/push#push_delivery_rate, #push_backoff).

Cloud Run: every 5 s the instance count is set to keep CPU and concurrency of the last minute at 60 %, within the
configured minimum and maximum. Requests without a free slot wait 10 s and are then refused. Idle instances stay for
15 minutes (https://cloud.google.com/run/docs/about-instance-autoscaling).

Google does not publish how fast the window grows. We assume that it doubles each second up to 3,000 and gains 100 a
second beyond.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from infra.capacity.figures import Known
from infra.capacity.plan import CONCURRENCY, INSTANCES_MIN, UTILISATION

Counts = NDArray[np.int64]
WINDOW_FIRST, WINDOW_LINEAR, WINDOW_GAIN = 3, 3_000, 100
SLOW_SECONDS = 1.0
PAUSE_FIRST, PAUSE_MAX = 0.1, 60.0
EVALUATED_EVERY, AVERAGED_OVER, IDLE_SECONDS, HELD_SECONDS = 5, 60, 900, 10
INSTANCES_MAX = 50


class Service(Struct, frozen=True):
    """A function on Cloud Run."""

    cpu_s: float
    """Processor time of one Pix."""
    answer_s: float
    """Time from push to acknowledgement."""
    start_s: float
    """Cold start of an instance."""
    concurrency: int = CONCURRENCY
    """Requests that an instance works on at a time."""
    instances_min: int = INSTANCES_MIN
    instances_max: int = INSTANCES_MAX

    @classmethod
    def of(cls, known: Known) -> Service:
        """Return the score function with measured times and the settings of infra/terraform."""
        measured, assumed = known.measured, known.assumed
        ratio = assumed.processor_ratio.value
        return cls(measured.score_cpu_s.value * ratio, assumed.answer_s.value, measured.cold_start_s.value * ratio)

    @property
    def pix_s(self) -> float:
        """Return the throughput of one instance, in Pix a second."""
        return min(1 / self.cpu_s, self.concurrency / self.answer_s)


class SimulatedDay(NamedTuple):
    """Counts for each second [n]; `age` is the age of the oldest unacknowledged message, in seconds."""

    arrived: Counts
    acknowledged: Counts
    refused: Counts
    queued: Counts
    instances: Counts
    started: Counts
    window: Counts
    age: Counts


class DaySummary(Struct, frozen=True):
    """Totals and extremes of a simulated day."""

    pix: int
    acknowledged: int
    instances_mean: float
    instances_most: int
    started: int
    refused: int
    queued_most: int
    age_most_s: int
    seconds_over_40: int
    """Seconds in which the oldest message was past the decision deadline."""


def arrivals(rates: NDArray[np.float64], seed: int) -> Counts:
    """Draw the messages of each second [n] from Poisson distributions with these rates [n]."""
    return np.random.default_rng(seed).poisson(rates).astype(np.int64)


def simulate(arrived: Counts, service: Service) -> SimulatedDay:
    """Simulate the delivery of arriving messages [n], first in, first out."""
    pushes, fleet = _Pushes(service), _Fleet(service)
    rows = []
    for second, new in enumerate(arrived.tolist()):
        pushes.step(new, fleet)
        fleet.step(second, pushes.acknowledged, pushes.held)
        rows.append((pushes.acknowledged, pushes.refused, pushes.queued, fleet.ready, fleet.started, pushes.window))
    acknowledged, refused, queued, ready, started, window = np.array(rows, dtype=np.int64).reshape(-1, 6).T
    return SimulatedDay(arrived, acknowledged, refused, queued, ready, started, window, ages(arrived, acknowledged))


def ages(arrived: Counts, acknowledged: Counts) -> Counts:
    """Return the age [n] of the oldest unacknowledged message at the end of each second; 0 if the backlog is empty.

    >>> ages(np.array([5, 5, 0, 0]), np.array([0, 5, 1, 4])).tolist()
    [0, 0, 1, 0]
    """
    done, seconds = acknowledged.cumsum(), np.arange(len(arrived))
    oldest = np.searchsorted(arrived.cumsum(), done, side="right")
    age: Counts = np.maximum(seconds - oldest, 0)
    return age


def without_start(day: SimulatedDay, seconds: int) -> SimulatedDay:
    """Drop the first seconds of a day, in which the push window and the instances are still growing."""
    return SimulatedDay(*(values[seconds:] for values in day))


def summarize(day: SimulatedDay, deadline_s: int = 40) -> DaySummary:
    """Summarize a simulated day."""
    return DaySummary(
        pix=int(day.arrived.sum()),
        acknowledged=int(day.acknowledged.sum()),
        instances_mean=round(float(day.instances.mean()), 2),
        instances_most=int(day.instances.max()),
        started=int(day.started.sum()),
        refused=int(day.refused.sum()),
        queued_most=int(day.queued.max()),
        age_most_s=int(day.age.max()),
        seconds_over_40=int(np.count_nonzero(day.age > deadline_s)),
    )


class _Pushes:
    """The push subscription: its backlog, its window, and the requests that Cloud Run holds until a slot is free."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._waiting, self._pause, self._rest = 0, 0.0, 0.0
        self._limit = float(WINDOW_FIRST)
        self.held = self.acknowledged = self.refused = 0

    @property
    def queued(self) -> int:
        """Return the number of unacknowledged messages."""
        return self._waiting + self.held

    @property
    def window(self) -> int:
        """Return the maximum number of outstanding pushes."""
        return int(self._limit)

    def step(self, new: int, fleet: _Fleet) -> None:
        """Advance one second in which `new` messages arrive."""
        self._waiting += new
        capacity = int(fleet.ready * self._service.pix_s)
        allowed = self._allowed(capacity)
        pushed = min(self._waiting, allowed)
        self._waiting -= pushed
        self.held += pushed
        self.acknowledged = min(self.held, capacity)
        self.held -= self.acknowledged
        self.refused = max(0, self.held - int(HELD_SECONDS * max(1, fleet.ready_soon) * self._service.pix_s))
        self.held -= self.refused
        self._waiting += self.refused
        self._adapt(
            used=pushed >= allowed, slow=self._service.answer_s > SLOW_SECONDS or self.held > capacity * SLOW_SECONDS
        )

    def _allowed(self, capacity: int) -> int:
        """Return how many messages may be pushed in this second; an answer frees its slot in the window."""
        if self._rest >= 1:
            self._rest -= 1
            return 0
        free = max(0, int(self._limit) - self.held)
        return min(int(free / self._service.answer_s), capacity + free)

    def _adapt(self, used: bool, slow: bool) -> None:
        if self.refused:
            self._limit = max(WINDOW_FIRST, self._limit / 2)
            self._pause = min(PAUSE_MAX, max(PAUSE_FIRST, 2 * self._pause))
            self._rest += self._pause
            return
        if self.acknowledged:
            self._pause = 0.0
        if slow and self._limit >= WINDOW_LINEAR:
            self._limit = WINDOW_LINEAR
        elif used:
            grown = self._limit + WINDOW_GAIN
            self._limit = grown if self._limit >= WINDOW_LINEAR else min(2 * self._limit, WINDOW_LINEAR)


class _Fleet:
    """The instances that are ready, and the seconds at which starting ones will be."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._starting: deque[int] = deque()
        self._used: deque[float] = deque(maxlen=AVERAGED_OVER)
        # Monotonic queue of (second, instances), descending by instances: the first entry is the sliding maximum.
        self._wanted: deque[tuple[int, int]] = deque()
        self._second = self.started = 0
        self.ready = service.instances_min

    @property
    def total(self) -> int:
        """Return the number of ready and starting instances."""
        return self.ready + len(self._starting)

    @property
    def ready_soon(self) -> int:
        """Return the number of instances that will be ready before held requests are refused."""
        return self.ready + sum(at < self._second + HELD_SECONDS for at in self._starting)

    def step(self, second: int, acknowledged: int, held: int) -> None:
        """Advance one second, given the requests acknowledged in it and held at its end."""
        service, self._second = self._service, second
        while self._starting and self._starting[0] <= second:
            self._starting.popleft()
            self.ready += 1
        running = acknowledged * service.answer_s + held
        self._used.append(max(acknowledged * service.cpu_s, running / service.concurrency))
        self.started = 0
        if second % EVALUATED_EVERY == 0 or (held and not self.total):
            self._scale(second, math.ceil(running / service.concurrency) if held else 0)

    def _scale(self, second: int, at_once: int) -> None:
        average = sum(self._used) / len(self._used)
        wanted = max(math.ceil(average / UTILISATION), at_once)
        kept = self._kept(second, min(max(wanted, self._service.instances_min), self._service.instances_max))
        self.started = max(0, kept - self.total)
        self._starting.extend([second + math.ceil(self._service.start_s)] * self.started)
        self.ready = max(0, self.ready - max(0, self.total - kept))

    def _kept(self, second: int, wanted: int) -> int:
        """Return the highest instance count wanted in the last 15 minutes, as idle instances stay that long."""
        while self._wanted and self._wanted[-1][1] <= wanted:
            self._wanted.pop()
        self._wanted.append((second, wanted))
        while self._wanted[0][0] <= second - IDLE_SECONDS:
            self._wanted.popleft()
        return self._wanted[0][1]
