"""Limits of norms on a Pix, as data in `limits.yaml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta, Struct

from shared.errors import Misconfigured

LIMITS_FILE = Path(__file__).with_name("limits.yaml")

Hour = Annotated[int, Meta(ge=0, le=23)]


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """The largest amount that a norm allows, in BRL."""

    amount: Annotated[float, Meta(gt=0)]
    norm: str
    """The source of the amount."""


class NightLimit(Limit, frozen=True):
    """A limit from one local hour, across midnight, until another."""

    from_hour: Hour
    until_hour: Hour

    def __post_init__(self) -> None:
        if self.from_hour <= self.until_hour:
            raise ValueError(f"the night from {self.from_hour}h until {self.until_hour}h does not cross midnight")


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Every limit that features compare with."""

    night: NightLimit
    """Of one transaction at night."""
    unregistered_device_transaction: Limit
    """Of one transaction from a device that the payer has not registered."""
    unregistered_device_day: Limit
    """Of a day's transactions from such a device."""

    @classmethod
    def load(cls, path: Path) -> Limits:
        """Return the limits in a YAML file. Raises Misconfigured."""
        try:
            return msgspec.convert(yaml.safe_load(path.read_text("utf-8")), cls)
        except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
            raise Misconfigured(f"{path.name}: {error}") from error


@cache
def limits_in_force() -> Limits:
    """Return the limits in `limits.yaml`, read at the first call. Raises Misconfigured.

    >>> limits_in_force().night.amount
    1000.0
    """
    return Limits.load(LIMITS_FILE)
