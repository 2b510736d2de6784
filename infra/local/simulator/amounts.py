"""Amounts as typed by people and charged by shops."""

import numpy as np
from numpy.random import Generator

from infra.local.simulator.arrays import Floats, Ints
from shared.features.limits import limits_in_force

_STEPS = np.array([1, 100, 500, 1_000, 5_000, 10_000])
_STEP_CHANCES = np.array([0.34, 0.12, 0.16, 0.22, 0.10, 0.06])


def night_limit() -> int:
    """Return the limit at night of a payer who has not changed it, in centavos."""
    return round(100 * limits_in_force().night.amount)


def transferred(rng: Generator, log_brl: Floats) -> Ints:
    """Turn logs of BRL into centavos, rounded like typed amounts (fraudsters type too)."""
    cents = 100 * np.exp(np.clip(log_brl, 0.0, 12.2))
    step = rng.choice(_STEPS, len(cents), p=_STEP_CHANCES)
    step = np.where(cents < 4 * step, np.where(cents < 2_000, 1, 500), step)
    rounded: Ints = np.maximum(step, np.rint(cents / step) * step).astype(np.int64)
    return rounded


def charged(rng: Generator, log_brl: Floats) -> Ints:
    """Turn logs of BRL into centavos, rounded like shop prices: many end in 90, 99 or 00."""
    cents = (100 * np.exp(np.clip(log_brl, 0.0, 11.0))).astype(np.int64)
    ending = rng.choice([-1, 0, 50, 90, 99], len(cents), p=[0.4, 0.25, 0.1, 0.15, 0.1])
    return np.maximum(100, np.where(ending < 0, cents, cents // 100 * 100 + ending))
