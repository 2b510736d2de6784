"""The request for a retraining, and its result."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from msgspec import Struct

Promote = Literal["gate", "never", "always"]
"""Whether the challenger serves: if the gate agrees; never, only published; or always, by decision of the actor."""
AUTO = "auto"
"""The trigger of an automatic run, which trains only if there is a reason to (`trigger`)."""


class Request(Struct, frozen=True):
    """A retraining by `actor` on the labels known at `as_of`.

    `trigger` is AUTO, or the reason to train in any case. `snapshot` is the content hash of a stored training set to
    train on again; None reads the tables.
    """

    as_of: dt.datetime
    trigger: str
    actor: str
    promote: Promote = "gate"
    snapshot: str | None = None


class RetrainingResult(Struct, frozen=True):
    """The result of a retraining.

    `outcome` is PROMOTED, REFUSED, TOO_FEW, SUSPECTED, PUBLISHED, SWAP_LOST or NOTHING_TO_DO.

    TOO_FEW means that the frauds of the test period are too few for a verdict: nothing speaks against the challenger.
    `trigger` is the reason to train, None if there was none. `version` is the one to serve, `approved` the fit that
    was judged: the same, unless its refit is to serve. `champion` names the model or the rules that the
    challenger was compared with. Metrics are those of the test period.
    """

    outcome: str
    reasons: list[str]
    trigger: str | None = None
    version: str | None = None
    approved: str | None = None
    champion: str | None = None
    candidate: str | None = None
    mode: str | None = None
    run_id: str | None = None
    dataset_hash: str | None = None
    rows: int = 0
    frauds: int = 0
    metrics: dict[str, float] = {}
    champion_metrics: dict[str, float] = {}
