"""The memory of measured periods, with which the next one is compared.

A period is compared with each one remembered, and the least distance counts: a payday is like the last payday, a
Sunday like other Sundays, and a counter that only grows is like yesterday. How far each feature moved is remembered
too, since the limit of a feature is its own habit: a feature that few Pix have moves by chance further than the
amount does. The memory follows the days, so the reference is never older than the swap was when it was made.

It is one object in the bucket of rows, some kilobytes for each feature. A period that overlaps a remembered one is
measured but not kept, so that each day counts once.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec import Struct

from shared.errors import PreconditionFailed
from shared.learning.data.profile import ColumnProfile, OrderedColumn, stability_index
from shared.learning.specs.drift import DriftSpec
from shared.ports.blobs import Blobs

log = logging.getLogger(__name__)

_LEAST = 1e-4  # movement below which all count alike, as its logarithm would vary for nothing
_SPREAD_MIN = 0.3  # least standard deviation of the logarithms, since a few movements may agree by chance


class DriftWindow(Struct, frozen=True):
    """A period: the distributions of features and of the score of `version`, and how far each feature had moved.

    `score` is None if `version` had scored too few of the rows.
    """

    since: dt.datetime
    until: dt.datetime
    version: str
    features: dict[str, ColumnProfile]
    moved: dict[str, float]
    score: ColumnProfile | None = None


class Memory(Struct, frozen=True):
    """The windows remembered, oldest first, and the generation of the object that holds them."""

    windows: list[DriftWindow]
    generation: int

    def before(self, since: dt.datetime) -> Memory:
        """Return the memory of the windows that ended by then."""
        return Memory([window for window in self.windows if window.until <= since], self.generation)

    def moved(self, name: str, column: OrderedColumn) -> float | None:
        """Return the least stability index of a feature against a window, None if no window has it."""
        known = [window.features[name] for window in self.windows if name in window.features]
        return min((stability_index(one, column) for one in known), default=None)

    def limit(self, name: str, spec: DriftSpec) -> float | None:
        """Return the movement from which a feature has drifted, None as long as too few movements are known."""
        known = [window.moved[name] for window in self.windows if name in window.moved]
        if len(known) < spec.movements_min:
            return None
        logarithms = np.log(np.maximum(known, _LEAST))
        spread = max(float(logarithms.std(ddof=1)), _SPREAD_MIN)
        return max(spec.feature_min, float(np.exp(logarithms.mean() + spec.deviations * spread)))

    def score_moved(self, version: str, column: OrderedColumn, spec: DriftSpec) -> float | None:
        """Return the least stability index of the score against the first days of a version, None without any."""
        known = [window.score for window in _first_days(self.windows, version, spec) if window.score]
        return min((stability_index(one, column) for one in known), default=None)

    def with_window(self, window: DriftWindow, spec: DriftSpec) -> Memory:
        """Return the memory with one window more, without those that are too old to be compared with."""
        oldest = window.until - dt.timedelta(days=spec.remembered_days)
        first = _first_days(self.windows, window.version, spec)
        kept = [one for one in self.windows if one.until > oldest or one in first]
        return Memory([*kept, window], self.generation)


def object_name(length: dt.timedelta) -> str:
    """Return the name of the object that remembers periods of this length.

    >>> object_name(dt.timedelta(hours=24))
    'drift/24h.json'
    """
    return f"drift/{length / dt.timedelta(hours=1):g}h.json"


def read_memory(blobs: Blobs, name: str) -> Memory:
    """Return the memory in an object, an empty one if there is none or it cannot be read. Raises Unavailable."""
    blob = blobs.read(name)
    if blob is None:
        return Memory([], 0)
    try:
        return Memory(msgspec.json.decode(blob.data, type=list[DriftWindow]), blob.generation)
    except msgspec.MsgspecError as error:
        log.warning("memory of drift begins again", extra={"fields": {"object": name, "reason": str(error)}})
        return Memory([], blob.generation)


def write_memory(blobs: Blobs, name: str, memory: Memory) -> None:
    """Store a memory, unless another job has stored one since it was read. Raises Unavailable."""
    try:
        blobs.write(name, msgspec.json.encode(memory.windows), memory.generation)
    except PreconditionFailed:
        log.warning("another job remembers this period", extra={"fields": {"object": name}})


def _first_days(windows: Sequence[DriftWindow], version: str, spec: DriftSpec) -> list[DriftWindow]:
    """Return the windows of a version within `score_days` of its first one."""
    own = [window for window in windows if window.version == version and window.score]
    return [window for window in own if window.since < own[0].since + dt.timedelta(days=spec.score_days)]
