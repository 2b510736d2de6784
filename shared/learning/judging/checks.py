"""The result of one check of the gate."""

from __future__ import annotations

from msgspec import Struct


class GateCheck(Struct, frozen=True):
    """One check of the gate: the measured value, its limit, and a sentence on both.

    `measured` is None if there was too little to measure; such a check is neither passed nor failed, and `passed` is
    True so that it refuses no challenger. A check that fails since the data cannot tell, not since the challenger is
    worse, has `lacks_data`.
    """

    name: str
    passed: bool
    measured: float | None
    limit: float
    text: str
    lacks_data: bool = False
