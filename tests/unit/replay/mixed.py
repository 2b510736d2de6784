"""A replay of events and reports in one stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.features.columns import Columns
from shared.features.facts import VerdictCount
from shared.features.vector import feature_matrix
from shared.replay.recurrence import Chunk, Replay


def replay_events(
    items: Iterable[Event | VerdictCount], replay: Replay, size: int
) -> Iterator[tuple[list[Event], NDArray[np.float32]]]:
    """Yield events with their feature vectors [n, F], given events and reports in the order they were counted."""
    for events, reports, before in _grouped(items, size):
        columns = Columns.of(events)
        yield events, feature_matrix(columns, replay.run(Chunk(columns, reports, before)))


def _grouped(
    items: Iterable[Event | VerdictCount], size: int
) -> Iterator[tuple[list[Event], list[VerdictCount], list[int]]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        events: list[Event] = []
        reports: list[VerdictCount] = []
        before: list[int] = []
        for item in batch:
            if isinstance(item, VerdictCount):
                reports.append(item)
                before.append(len(events))
            else:
                events.append(item)
        yield events, reports, before
