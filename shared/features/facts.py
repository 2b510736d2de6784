"""The changes that events and reports make to history, as far as they do not depend on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.features.arrays import Floats
from shared.features.clock import angles
from shared.features.columns import Columns
from shared.features.keys import Keys, keys_of, pair_of
from shared.features.layout import MARKS, WEIGHTS

ONE, AMOUNT = WEIGHTS.index("one"), WEIGHTS.index("amount")
NEW_PAYEE, NEW_DEVICE = WEIGHTS.index("new_payee"), WEIGHTS.index("new_device")
AT, AT_IF_NEW = MARKS.index("at"), MARKS.index("at_if_new")
_FRAUD, _CLEARED = WEIGHTS.index("fraud"), WEIGHTS.index("cleared")
_HANDSET = np.uint64(0x2545F4914F6CDD1D)  # pairs and handsets share a table: keeps their keys apart


class VerdictCount(Struct, frozen=True, gc=False):
    """A verdict about a Pix to count at `reported_at`, in microseconds since the epoch.

    To take a verdict back, count it with `sign` -1 and the time at which it was counted; the two then cancel out at
    any later time.
    """

    payer_id: str
    payee_id: str
    device_id: str | None
    reported_at: int
    fraud: bool
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """Changes by n events or reports, in their order; a key is 0 where no record changes.

    `at` [n] is in seconds, `weights` is [n, len(WEIGHTS)], `marks` [n, len(MARKS)]. History writes the columns
    `new_payee`, `new_device` and `at_if_new`, as it alone knows whether payee and device are new to the payer.
    """

    payer: Keys
    payee: Keys
    device: Keys
    pair: Keys
    handset: Keys
    at: Floats
    weights: Floats
    marks: Floats

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Facts:
        """Return the facts of some events or reports."""
        return Facts(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def of_events(cls, events: Columns) -> Facts:
        """Return the facts of transactions."""
        at, amount = events.at, events.amount
        return cls(
            payer=events.payer,
            payee=events.payee,
            device=events.device,
            pair=pair_of(events.payer, events.payee),
            handset=handsets(events.device, events.payer),
            at=at,
            weights=_event_weights(at, amount),
            marks=_event_marks(at, amount),
        )

    @classmethod
    def of_reports(cls, reports: Sequence[VerdictCount]) -> Facts:
        """Return the facts of verdicts, which change payer, payee and device but no contact."""
        count = len(reports)
        no_key = np.zeros(count, dtype=np.uint64)
        at = np.array([report.reported_at for report in reports], dtype=np.float64) * 1e-6
        weights = np.zeros((count, len(WEIGHTS)))
        weights[:, _FRAUD] = [report.sign * report.fraud for report in reports]
        weights[:, _CLEARED] = [report.sign * (not report.fraud) for report in reports]
        marks = np.full((count, len(MARKS)), -np.inf)
        # The only mark of a report: it moves the record's time, but is neither a Pix sent nor one received.
        marks[:, MARKS.index("reached")] = at
        return cls(
            payer=keys_of([report.payer_id for report in reports]),
            payee=keys_of([report.payee_id for report in reports]),
            device=keys_of([report.device_id or "" for report in reports]),
            pair=no_key,
            handset=no_key,
            at=at,
            weights=weights,
            marks=marks,
        )

    @classmethod
    def joined(cls, one: Facts, other: Facts, order: NDArray[np.int64]) -> Facts:
        """Return the facts of both; `order` [n] indexes their concatenation."""
        parts = (np.concatenate((getattr(one, f.name), getattr(other, f.name)))[order] for f in fields(cls))
        return cls(*parts)


def handsets(device: Keys, payer: Keys) -> Keys:
    """Return the keys [n] of the contacts of device and payer, 0 where a device is missing."""
    return pair_of(np.where(device > 0, device ^ _HANDSET, device), payer)


def _event_weights(at: Floats, amount: Floats) -> Floats:
    day, week = angles(at)
    log = np.log1p(amount)
    weights = np.zeros((len(at), len(WEIGHTS)))
    # In the order of WEIGHTS. Times of day and week are points on a circle, whose mean is a habit (`vector._habit`).
    weights[:, ONE:NEW_PAYEE] = np.stack(
        (
            *(np.ones_like(at), amount, amount * amount, log, log * log),
            *(np.cos(day), np.sin(day), np.cos(week), np.sin(week)),
        ),
        axis=1,
    )
    return weights


def _event_marks(at: Floats, amount: Floats) -> Floats:
    never = np.full_like(at, -np.inf)
    return np.stack((never, at, at, -at, amount, never), axis=1)  # in the order of MARKS
