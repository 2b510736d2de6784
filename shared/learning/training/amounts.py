"""Weights by which a fit learns most from the frauds that cost most."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

_LEAST = 1.0  # BRL; a fraud of centavos is still one of which to learn


class AmountWeights(NamedTuple):
    """The factor of a fraud's weight, which grows with its amount: amount ** `power` / `mean`.

    `mean` is that over the frauds, so that all of them together weigh as much as without, and the share of frauds
    that a model learns stays. A power of 1 weighs a fraud by the money that it takes, 0 counts frauds. A score that
    is fitted so is calibrated afterwards, and a probability as before; it ranks large frauds higher.
    Source: Zadrozny, Langford and Abe, Cost-Sensitive Learning by Cost-Proportionate Example Weighting, ICDM 2003.
    """

    power: float
    mean: float

    @classmethod
    def of(cls, amount: NDArray[np.float64], fraud: NDArray[np.bool_], power: float) -> Self:
        """Return the weights of the frauds among rows [n] of amounts in BRL."""
        raised = _raised(amount[fraud], power)
        return cls(power, float(raised.mean()) if len(raised) else 1.0)

    def factors(self, amount: NDArray[np.float64], fraud: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the factors [n] of rows, 1 for legitimate ones."""
        return np.where(fraud, _raised(amount, self.power) / self.mean, 1.0)


def amount_factors(amount: NDArray[np.float64], fraud: NDArray[np.bool_], power: float) -> NDArray[np.float64]:
    """Return the factors [n] by which rows weigh in a fit to them, of amounts in BRL.

    >>> amount_factors(np.array([100.0, 900.0, 5.0]), np.array([True, True, False]), 0.5).tolist()
    [0.5, 1.5, 1.0]
    """
    return AmountWeights.of(amount, fraud, power).factors(amount, fraud)


def _raised(amount: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    raised: NDArray[np.float64] = np.maximum(amount, _LEAST) ** power
    return raised
