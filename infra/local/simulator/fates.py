"""The fate of a Pix: settled, refused, returned by its payee, or blocked at the payee's institution.

The fate is drawn with the Pix, as stolen money that did not arrive cannot be passed on.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.random import Generator

from infra.local.simulator.arrays import Flags
from infra.local.simulator.config import FIRST_FRAUD, Kind
from infra.local.simulator.payments import UNDRAWN, Payments


class Fate(IntEnum):
    """Code of the fate of a Pix; a seized one was blocked, and all of it returned to its payer."""

    SETTLED = 0
    BLOCKED = 1
    SEIZED = 2
    REJECTED = 3
    EXPIRED = 4
    CANCELLED = 5


_LAWFUL = {Fate.REJECTED: 0.006, Fate.EXPIRED: 0.0008, Fate.CANCELLED: 0.002, Fate.BLOCKED: 0.0003, Fate.SEIZED: 1e-5}
_STOLEN = {Fate.REJECTED: 0.006, Fate.EXPIRED: 0.0008, Fate.CANCELLED: 0.0, Fate.BLOCKED: 0.015, Fate.SEIZED: 0.045}
"""Shares of Pix, the others settle. Assumptions: no statistics of refusals in the SPI are published."""


def draw(rng: Generator, rows: Payments) -> Payments:
    """Draw the fates that are undrawn yet, in place; return the table."""
    stolen = (rows.kind >= FIRST_FRAUD) | (rows.kind == Kind.MULE_TRANSFER)
    for mask, shares in ((stolen, _STOLEN), (~stolen, _LAWFUL)):
        mine = np.flatnonzero(mask & (rows.fate == UNDRAWN))
        chances = [1 - sum(shares.values()), *shares.values()]
        rows.fate[mine] = rng.choice([Fate.SETTLED, *shares], len(mine), p=chances)
    return rows


def settled(rows: Payments) -> Flags:
    """Return the mask of Pix that settled, blocked ones included."""
    return rows.fate <= Fate.SEIZED
