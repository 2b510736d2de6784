"""The participants: fictional ISPBs with plausible shares, and the optional fields that their systems send."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.local.simulator.identity import ALPHANUMERIC, HEX, LOWER, UPPER

_ALPHANUMERIC_FROM = int(np.datetime64("2026-07-01", "D").astype(int))


@dataclass(frozen=True)
class Psp:
    """A participant of Pix."""

    ispb: str
    share: float
    """Share of accounts."""
    alphabet: NDArray[np.uint8]
    """Characters of its EndToEndIds."""
    sends_device: bool
    sends_statistics: bool
    """Whether its messages have the payee's DICT statistics."""


PSPS = (
    Psp("41872903", 0.215, LOWER, True, False),
    Psp("07315628", 0.145, ALPHANUMERIC, True, True),
    Psp("65290417", 0.110, HEX, True, True),
    Psp("58031946", 0.105, UPPER, True, False),
    Psp("33947120", 0.085, ALPHANUMERIC, True, True),
    Psp("20416785", 0.080, LOWER, True, False),
    Psp("91560234", 0.070, UPPER, True, False),
    Psp("14728356", 0.055, ALPHANUMERIC, True, True),
    Psp("76203981", 0.045, HEX, False, True),
    Psp("29658147", 0.030, LOWER, True, True),
    Psp("83071592", 0.025, ALPHANUMERIC, False, False),
    Psp("52384760", 0.020, UPPER, True, True),
    Psp("4K7RX2M9", 0.010, ALPHANUMERIC, True, True),
    Psp("B31T80QZ", 0.005, LOWER, True, True),
)

INITIATORS = ("30517842", "48260913", "71936205")
"""Fictional initiators (iniciadores de transação de pagamento), whose ISPB is in the EndToEndIds of INIC."""


def shares(last_day: int) -> NDArray[np.float64]:
    """Return the share of each participant by `last_day` (days since 1970); alphanumeric ISPBs start in July 2026."""
    known = [p.share if p.ispb.isdigit() or last_day >= _ALPHANUMERIC_FROM + 30 else 0.0 for p in PSPS]
    return np.array(known) / sum(known)
