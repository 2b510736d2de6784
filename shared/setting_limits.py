"""The least value of each setting that is a number; every one of them is finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

KEY_BYTES = 32
"""Length of the pseudonyms' key, at least: that of the hash behind the HMAC (RFC 2104, section 3)."""
CLAIM_SECONDS_MIN = 660
"""The longest pause between two deliveries of a message: 60 s to acknowledge and 600 s of back-off."""


class Least(NamedTuple):
    """The least value of a setting, and the largest one if it has one."""

    value: float
    included: bool = True
    most: float = math.inf

    def admits(self, number: float) -> bool:
        """Return whether a number is finite, not too small and not too large.

        >>> [Least(0, included=False).admits(each) for each in (0, 1e-9, math.nan, math.inf)]
        [False, True, False, False]
        """
        enough = number > self.value or (self.included and number == self.value)
        return math.isfinite(number) and enough and number <= self.most

    def __str__(self) -> str:
        most = "" if math.isinf(self.most) else f", at most {self.most:g}"
        return f"{'at least' if self.included else 'more than'} {self.value:g}{most}"


ABOVE_ZERO = Least(0, included=False)
ZERO, ONE = Least(0), Least(1)
LIMITS: Mapping[str, Least] = {
    "hmac_key_version": ONE,
    "state_shards": Least(1, most=64),
    "state_connect_seconds": ABOVE_ZERO,
    "state_call_seconds": ABOVE_ZERO,
    "state_pause_seconds": ZERO,
    "state_message_days": ONE,
    "state_claim_seconds": Least(CLAIM_SECONDS_MIN),
    "late_outcome_seconds": ZERO,
    "state_record_days": ONE,
    "deadline_seconds": ABOVE_ZERO,
    "decide_seconds": Least(0.001, most=60),
    "ahead_seconds": ZERO,
    "behind_days": ONE,
    "pointer_ttl_seconds": ABOVE_ZERO,
    "maturity_days": ABOVE_ZERO,
    "batch_max": ONE,
    "batches_in_flight": ONE,
    "batch_linger_seconds": ZERO,
    "batch_enough": ONE,
    "queue_max": ONE,
    "queue_seconds": ABOVE_ZERO,
    "drain_seconds": ZERO,
    "start_seconds": ZERO,
    "log_seconds": ZERO,
    "append_timeout_seconds": ABOVE_ZERO,
    "lookup_seconds": ABOVE_ZERO,
    "otel_metric_export_interval": ONE,
}
"""By the field of `shared.settings.Settings`."""
