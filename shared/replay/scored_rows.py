"""Rows of `pix.score_events` from replayed transactions and the reads of history before each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.features.columns import Columns
from shared.features.vector import feature_matrix
from shared.replay.arrow_rows import plain_table, score_table
from shared.scoring.policy import decide
from shared.scoring.rules import Rules


class ScoredRows(NamedTuple):
    """Make the rows of a replay; those without a decision are decided by `rules` alone."""

    rules: Rules
    key_version: int
    """Version of the HMAC key of rows that name none."""

    def of(self, rows: pa.Table, events: Columns, reads: NDArray[np.float32]) -> pa.Table:
        """Return rows with their features, given their facts [n] and the reads [n, READ_WIDTH] before each."""
        features = feature_matrix(events, reads)
        return score_table(self._decided(rows, features), features)

    def _decided(self, rows: pa.Table, features: NDArray[np.float32]) -> pa.Table:
        """Return rows with a decision and its time: as stored, otherwise by rules alone at the time of the Pix."""
        count = rows.num_rows
        missing: dict[str, Sequence[Any]] = {
            "late": [False] * count,
            "degraded": [True] * count,
            "hmac_key_version": [self.key_version] * count,
        }
        if "decision" not in rows.column_names:
            outcome = decide(features, [], self.rules.apply(features), _due(rows))
            missing |= {"decision": outcome.decisions, "hold_until": outcome.hold_until}
            missing |= {"reasons": outcome.reasons, "reason_contributions": outcome.contributions}
        lacking = {name: values for name, values in missing.items() if name not in rows.column_names}
        for name, column in _columns(plain_table(lacking)):
            rows = rows.append_column(name, column)
        return rows if "scored_at" in rows.column_names else rows.append_column("scored_at", rows["initiated_at"])


def _due(rows: pa.Table) -> NDArray[np.int64]:
    """Return the time in microseconds at which each Pix was to be sent, [n]."""
    at, scheduled = rows["initiated_at"], pc.coalesce(rows["scheduled_for"], rows["initiated_at"])
    due = np.maximum(at.to_numpy(), scheduled.to_numpy())
    found: NDArray[np.int64] = due.astype("datetime64[us]").astype(np.int64)
    return found


def _columns(rows: pa.Table) -> list[tuple[str, Any]]:
    return list(zip(rows.column_names, rows.columns, strict=True))
