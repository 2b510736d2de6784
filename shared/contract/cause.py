"""A cause of a day's change of scores, as `pix.health` holds it: the segment of a row of measure `cause`, as JSON."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from shared.contract.rows import HealthRow

CAUSE = "cause"
"""The measure; its value is the weight of the cause, 1 for one that explains all."""
CHANGES = ("change_score", "change_alerts", "change_brl")
"""The measures of a day that was explained: log-odds of the mean score, alerts, and foretold loss in BRL."""


class CauseRecord(Struct, frozen=True):
    """A cause: its place in the ranking, its subject, its kind, its parts of the changes, signs and examples.

    `source` is a field of the message or a part of history, `publisher` an ISPB, `segment` a part of the traffic;
    both are None where it is all. `kind` is CODE, CONTRACT or TRAFFIC. `examples` are EndToEndIds.
    """

    rank: int
    source: str
    kind: str
    publisher: str | None = None
    segment: str | None = None
    score: float = 0.0
    score_error: float = 0.0
    alerts: float = 0.0
    brl: float = 0.0
    features: list[str] = []
    evidence: list[str] = []
    examples: list[str] = []

    def text(self) -> str:
        """Return the cause as JSON.

        >>> CauseRecord(1, "device", "CONTRACT", "12345678").text()[:42]
        '{"rank":1,"source":"device","kind":"CONTRA'
        """
        return msgspec.json.encode(self).decode()


def cause_of(row: HealthRow) -> CauseRecord | None:
    """Return the cause in a row of health, None if it cannot be read."""
    try:
        return msgspec.json.decode(row.segment or "", type=CauseRecord)
    except msgspec.MsgspecError:
        return None
