"""Number and duration of the faults of a run, and the report of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Scale(NamedTuple):
    """Number and duration (seconds) of the faults."""

    kills: int = 5
    swaps: int = 10
    refuses: float = 30.0
    slow: float = 20.0
    away: float = 45.0  # a starting function looks for its model for up to 30 s
    blind: float = 8.0
    frozen: float = 3.0  # some calls of the store: they time out, and are counted when it wakes
    gone: float = 30.0
    behind: float = 1.0  # the last changes before a failover, which the replica lacks
    clocks_apart: float = 2.0  # of the two instances of the score function
    attempts: int = 12  # deliveries of a message before it is a dead letter, within some two minutes
    quiet: float = 70.0  # without a new row, after which dead letters are redriven; longer than any back-off
    retraining: bool = True


@dataclass
class Report:
    """Injected faults and failures of the system to handle them, for the result."""

    swaps: int = 0
    refused: set[str] = field(default_factory=set)
    redriven: int = 0
    """Dead letters that were redriven a day later."""
    problems: list[str] = field(default_factory=list)
