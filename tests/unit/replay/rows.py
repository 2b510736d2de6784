"""Rows of scores."""

import numpy as np

from shared.contract.rows import ScoreRow
from shared.features.catalogue import FEATURE_NAMES


def score_row(event, sequence=1, features=None, **more):
    values = {
        "event": event,
        "scored_at": event.initiated_at,
        "score": None,
        "decision": "APPROVE",
        "reasons": [],
        "model_version": None,
        "late": False,
        "degraded": True,
        "hmac_key_version": 1,
        "history_sequence": sequence,
        "published_at": None,
        "features": np.zeros(len(FEATURE_NAMES), dtype=np.float32) if features is None else features,
    }
    return ScoreRow(**values | more)
