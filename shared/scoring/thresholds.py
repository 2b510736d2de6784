"""Thresholds on the calibrated probability of fraud, by side."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.scoring.rules import Side

OFF = 2.0
"""A threshold that no probability reaches, by which a model holds or rejects nothing."""


class Thresholds(Struct, frozen=True):
    """Calibrated probabilities from which one side holds (blocks) or rejects a Pix; OFF for never."""

    hold: float
    reject: float

    def are_possible(self) -> bool:
        """Return whether both are probabilities or OFF, and no Pix is rejected that would not be held."""
        return 0.0 < self.hold <= self.reject and all(each <= 1.0 or each == OFF for each in (self.hold, self.reject))

    def reached(self, scores: NDArray[np.float64]) -> NDArray[np.int8]:
        """Return the severity of the decisions on scores, int8 [n].

        >>> Thresholds(0.5, 0.9).reached(np.array([0.4, 0.5, 0.95])).tolist()
        [0, 1, 2]
        """
        return (scores >= self.hold).astype(np.int8) + (scores >= self.reject)


class SideThresholds(Struct, frozen=True):
    """The thresholds of each side: the costs of a stop and the staff for reviews differ."""

    payer: Thresholds
    payee: Thresholds

    def of(self, side: Side) -> Thresholds:
        """Return the thresholds of a side."""
        return self.payer if side == "PAYER" else self.payee

    def reached(self, scores: NDArray[np.float64], payees: NDArray[np.bool_]) -> NDArray[np.int8]:
        """Return the severity of the decisions on scores [n], int8 [n]; `payees` [n] is true on the payee's side."""
        return np.where(payees, self.payee.reached(scores), self.payer.reached(scores))
