"""The switch of the control group, which follows its object in the bucket."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from shared.errors import Unavailable, Untrusted
from shared.ports.blobs import Blobs
from shared.scoring.control import CONTROL, Budget, Switch

log = logging.getLogger(__name__)

FRESH_SECONDS = 15.0
"""Time for which a reading counts, at least: looks take their time while the bucket or the processor is busy."""


class ControlSwitch:
    """Hold the budget that `models/control.json` names; the champion looks at it with each look at its pointer.

    Whatever keeps the object from being read, switches the control group off: nobody must wait for a bucket before a
    switch that is off is off.
    """

    def __init__(self, blobs: Blobs, clock: Callable[[], float], fresh_seconds: float) -> None:
        self._blobs = blobs
        self._clock = clock
        self._fresh = fresh_seconds
        self._budget: Budget | None = None
        self._generation = 0
        self._read_at = -float("inf")

    def budget(self) -> Budget | None:
        """Return the budget, None while the control group is off or the last reading is too old."""
        return self._budget if self._clock() - self._read_at <= self._fresh else None

    def look(self) -> None:
        """Read the object; never raises for the contents of the bucket."""
        began = self._clock()
        try:
            blob = self._blobs.read(CONTROL)
        except Unavailable:
            return
        except Untrusted as error:
            self._refuse(error)
            return
        generation = blob.generation if blob else 0
        if generation != self._generation:
            self._budget, self._generation = _budget(blob.data if blob else None), generation
        self._read_at = began

    def _refuse(self, error: Untrusted) -> None:
        """Switch off, with one line in the log for each object."""
        if error.generation != self._generation:
            log.error("control group refused", extra={"fields": {"reason": str(error)}})
        self._budget, self._generation = None, error.generation


def _budget(data: bytes | None) -> Budget | None:
    if data is None:
        return None
    try:
        switch = msgspec.json.decode(data, type=Switch)
    except msgspec.MsgspecError as error:
        log.error("control group refused", extra={"fields": {"reason": type(error).__name__}})
        return None
    log.info("control group switched", extra={"fields": {"on": switch.budget is not None, "at": switch.changed_at}})
    return switch.budget
