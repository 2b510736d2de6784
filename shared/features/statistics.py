"""DICT statistics of the payee as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.event import EPOCH
from shared.contract.transaction import FraudMarkers, Statistics, Window

STATISTICS = (
    *("watermark", "accounts", "reports_open"),
    *("settlements_d90", "settlements_m12", "settlements_m60"),
    *("rejected_d90", "rejected_m12", "rejected_m60"),
    *("application_d90", "application_m12", "application_m60"),
    *("mule_d90", "mule_m12", "mule_m60"),
    *("scammer_d90", "scammer_m12", "scammer_m60"),
    *("other_d90", "other_m12", "other_m60"),
    *("unknown_d90", "unknown_m12", "unknown_m60"),
)
"""Names of the numbers, in order; `watermark` is in seconds since the epoch."""

_NAN = float("nan")
_NO_WINDOW = (_NAN,) * 3
_NO_MARKERS = _NO_WINDOW * 5
_REMEMBERED = 4096  # texts, of 400 bytes: half of all Pix with statistics are to a payee that was paid just before
_decode = msgspec.json.Decoder(Statistics).decode


def statistics_matrix(texts: Sequence[str | None]) -> NDArray[np.float64]:
    """Return [len(STATISTICS), n] from canonical JSON; NaN where something is not known.

    >>> statistics_matrix(['{"registered_accounts": 2}'])[:3, 0].tolist()
    [nan, 2.0, nan]
    """
    rows = {i: _numbers(text) for i, text in enumerate(texts) if text is not None}
    numbers = np.full((len(STATISTICS), len(texts)), _NAN)
    flat = np.fromiter(chain.from_iterable(rows.values()), dtype=np.float64, count=len(rows) * len(STATISTICS))
    numbers[:, list(rows)] = flat.reshape(len(rows), len(STATISTICS)).T
    return numbers


@lru_cache(_REMEMBERED)
def _numbers(text: str) -> tuple[float, ...]:
    known = _decode(text)
    reports = known.infraction_reports
    return (
        _NAN if known.watermark is None else (known.watermark - EPOCH).total_seconds(),
        _number(known.registered_accounts),
        _number(reports.open) if reports else _NAN,
        *_window(known.settlements),
        *(_window(reports.rejected) if reports else _NO_WINDOW),
        *(_markers(known.fraud_markers) if known.fraud_markers else _NO_MARKERS),
    )


def _markers(known: FraudMarkers) -> tuple[float, ...]:
    return (
        *_window(known.application_frauds),
        *_window(known.mule_accounts),
        *_window(known.scammer_accounts),
        *_window(known.other_frauds),
        *_window(known.unknown_frauds),
    )


def _window(window: Window | None) -> tuple[float, float, float]:
    return _NO_WINDOW if window is None else (window.d90, window.m12, window.m60)


def _number(count: int | None) -> float:
    return _NAN if count is None else count
