"""The party that a feature is about: a document for one party withholds the figures of the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from shared.features import catalogue
from shared.features.catalogue import Family, Feature

_OF_PAYER = ("payer_", "device_")
_OF_PAYEE = ("payee_", "key_")


def is_of_other(feature: str, side: str) -> bool:
    """Return whether a feature is about the party on the other side alone; a pair and its Pix are about both.

    >>> [is_of_other(name, "PAYER") for name in ("payee_account_age", "payer_mean_30d", "new_pair")]
    [True, False, False]
    """
    return feature in _of_other()[side]


@cache
def _of_other() -> Mapping[str, frozenset[str]]:
    """Return the features about the other party, by side."""
    payer = {*_names(catalogue.PAYER), *_names(catalogue.DEVICE), *_names(catalogue.LIMITS)}
    payee = {*_names(catalogue.PAYEE), *_names(catalogue.STATISTICS)}
    message = [*_names(catalogue.MESSAGE), *_names(catalogue.CONTACT)]
    payer |= {name for name in message if name.startswith((*_OF_PAYER, "handset_", "new_device"))}
    payee |= {name for name in message if name.startswith(_OF_PAYEE)} - {
        "payee_registered"
    }  # registered by the payer
    return {"PAYER": frozenset(payee), "PAYEE": frozenset(payer | {"payee_registered"})}


def _names(entries: Iterable[Feature | Family]) -> list[str]:
    return [each.name for entry in entries for each in (entry.features() if isinstance(entry, Family) else (entry,))]
