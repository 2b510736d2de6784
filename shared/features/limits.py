"""Limits of norms on a Pix, and on the time for which it may be stopped, as data in `limits.yaml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import yaml
from msgspec import Meta, Struct
from numpy.typing import NDArray

from shared import yaml_file
from shared.errors import Misconfigured
from shared.features.clock import second_of_day
from shared.features.layout import HOUR

LIMITS_FILE = Path(__file__).with_name("limits.yaml")

Hour = Annotated[int, Meta(ge=0, le=23)]
Positive = Annotated[int, Meta(gt=0)]

_SECOND = 1_000_000  # in microseconds


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """The largest amount that a norm allows, in BRL."""

    amount: Annotated[float, Meta(gt=0)]
    norm: str
    """The source of the amount, and which part of it was not read in full."""


class NightLimit(Limit, frozen=True):
    """A limit from one local hour, across midnight, until another."""

    from_hour: Hour
    until_hour: Hour

    def __post_init__(self) -> None:
        if self.from_hour <= self.until_hour:
            raise ValueError(f"the night from {self.from_hour}h until {self.until_hour}h does not cross midnight")


class HoldDuration(Struct, frozen=True, forbid_unknown_fields=True):
    """The time for which the payer's institution may hold a Pix before it settles, by local hour."""

    minutes_by_day: Positive
    minutes_at_night: Positive
    night_from_hour: Hour
    night_until_hour: Hour
    norm: str
    """The source of the times, and which part of it was not read in full."""

    def __post_init__(self) -> None:
        if self.night_from_hour <= self.night_until_hour:
            raise ValueError(
                f"the night from {self.night_from_hour}h until {self.night_until_hour}h does not cross midnight"
            )


class Block(Struct, frozen=True, forbid_unknown_fields=True):
    """The time for which the payee's institution may block a Pix after its credit (bloqueio cautelar)."""

    hours: Positive
    norm: str
    """The source of the time, and which part of it was not read in full."""


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Every limit that features compare with, and the ends of holds and blocks."""

    night: NightLimit
    """Of all transactions of an account in one night, between natural persons."""
    unregistered_device_transaction: Limit
    """Of one transaction from a device that the payer has not registered."""
    unregistered_device_day: Limit
    """Of a customer's transactions in one local day from such devices."""
    retention: HoldDuration
    """Of a HOLD, by the payer's institution."""
    block: Block
    """Of a BLOCK, by the payee's institution."""

    def hold_until(self, at: NDArray[np.int64], by_payee: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the time by which a Pix stopped now has to be settled, released or refused, in microseconds [n].

        `at` [n] are the times in microseconds at which each Pix is due; `by_payee` [n] is true where the payee's
        institution blocks it, false where the payer's holds it.

        >>> noon = np.full(2, 15 * 3600 * 10**6)
        >>> (limits_in_force().hold_until(noon, np.array([False, True])) - noon) // (60 * 10**6)
        array([  30, 4320])
        """
        held = self.retention
        hour = second_of_day(at / _SECOND) / HOUR
        night = (hour >= held.night_from_hour) | (hour < held.night_until_hour)
        minutes = np.where(night, held.minutes_at_night, held.minutes_by_day)
        until: NDArray[np.int64] = at + np.where(by_payee, self.block.hours * 60, minutes) * (60 * _SECOND)
        return until

    @classmethod
    def load(cls, path: Path) -> Limits:
        """Return the limits in a YAML file. Raises Misconfigured."""
        try:
            return msgspec.convert(yaml_file.read(path), cls)
        except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
            raise Misconfigured(f"{path.name}: {error}") from error


@cache
def limits_in_force() -> Limits:
    """Return the limits in `limits.yaml`, read at the first call. Raises Misconfigured.

    >>> limits_in_force().night.amount
    1000.0
    """
    return Limits.load(LIMITS_FILE)
