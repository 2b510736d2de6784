"""What is asked of a retraining, and what came of it."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from msgspec import Struct

Promote = Literal["gate", "never", "always"]
AUTO = "auto"
"""The trigger of a run that decides by itself whether there is reason to train."""


class Request(Struct, frozen=True):
    """What is asked for: by whom, why now, with what is known at `as_of`, and who decides about the swap.

    `trigger` is AUTO, or what makes it train whatever the tables say. `snapshot` is the content hash of a training
    set to train on again; None reads the tables.
    """

    as_of: dt.datetime
    trigger: str
    actor: str
    promote: Promote = "gate"
    snapshot: str | None = None


class RetrainingResult(Struct, frozen=True):
    """What came of it; `outcome` is PROMOTED, REFUSED, PUBLISHED, SWAP_LOST or NOTHING_TO_DO.

    `trigger` is what made it train, None if nothing did. `champion` is what the challenger was compared with. Metrics
    are those of the last period.
    """

    outcome: str
    reasons: list[str]
    trigger: str | None = None
    version: str | None = None
    champion: str | None = None
    candidate: str | None = None
    mode: str | None = None
    run_id: str | None = None
    dataset_hash: str | None = None
    rows: int = 0
    frauds: int = 0
    metrics: dict[str, float] = {}
    champion_metrics: dict[str, float] = {}
