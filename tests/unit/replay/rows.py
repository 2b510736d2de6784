"""Rows of scores."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.contract.rows import ScoreRow
from shared.features.catalogue import FEATURE_NAMES


def score_row(
    event: Event, sequence: int | None = 1, features: NDArray[np.float32] | None = None, **more: Any
) -> ScoreRow:
    values: dict[str, Any] = {
        "event": event,
        "scored_at": event.initiated_at,
        "score": None,
        "decision": "APPROVE",
        "reasons": [],
        "reason_contributions": [],
        "model_version": None,
        "late": False,
        "degraded": True,
        "hmac_key_version": 1,
        "history_sequence": sequence,
        "decided_sequence": None,
        "visited": (),
        "decided_visited": (),
        "policy_decision": None,
        "control_probability": None,
        "hold_until": None,
        "published_at": None,
        "delivery_attempt": None,
        "claim_number": 1,
        "place_pending": False,
        "features": np.zeros(len(FEATURE_NAMES), dtype=np.float32) if features is None else features,
    }
    return ScoreRow(**values | more)
