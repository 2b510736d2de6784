"""Figures of earlier champions, from the ledger: the best of the last months, and one whose bundle is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from shared.learning.judging.looks import Look


class ChampionRecord(Struct, frozen=True):
    """A model as it was measured on the test period of its own training.

    `fraud_share` is the share of frauds of that period, `cost_share` the model's cost over that of the rules alone.
    """

    version: str
    average_precision: float
    fraud_share: float
    cost_share: float

    def average_precision_at(self, fraud_share: float) -> float:
        """Return the average precision that the same ranking would have at another share of frauds."""
        return average_precision_at(self.average_precision, self.fraud_share, fraud_share)


def average_precision_at(known: float, fraud_share: float, other: float) -> float:
    """Return the average precision that a ranking has at another share of frauds, given that at `fraud_share`.

    With the ranking unchanged, the odds of a fraud among the highest scores grow with the odds of fraud.
    Source: Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001, theorem 2.

    >>> round(average_precision_at(0.5, 0.01, 0.001), 3), round(average_precision_at(0.5, 0.01, 0.01), 3)
    (0.09, 0.5)
    """
    before, now = (share / (1 - share) for share in (fraud_share, other))
    if known >= 1:
        return 1.0
    odds = known / (1 - known) * now / before
    return float(odds / (1 + odds))


class Past(NamedTuple):
    """The past in the ledger: the looks so far in order, the champions of the last months, and a refused champion.

    `refused` is the name of a champion whose bundle cannot be read, so that only its record stands for it.
    """

    looks: Sequence[Look] = ()
    champions: Sequence[ChampionRecord] = ()
    refused: str | None = None

    def best(self, fraud_share: float) -> ChampionRecord | None:
        """Return the champion with the highest average precision, restated at `fraud_share`; None without one."""
        known = [one for one in self.champions if 0 < one.fraud_share < 1 and not np.isnan(one.average_precision)]
        return max(known, key=lambda one: one.average_precision_at(fraud_share), default=None)

    def record_of_refused(self) -> ChampionRecord | None:
        """Return the record of the refused champion, None if the ledger has none."""
        return next((one for one in reversed(self.champions) if one.version == self.refused), None)


NO_PAST = Past()
"""The past of a ledger without rows."""
