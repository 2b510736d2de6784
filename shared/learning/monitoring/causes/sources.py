"""The sources of the features: a field of the message, or a part of history. It is a source that breaks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from shared.features.catalogue import FEATURE_NAMES

HISTORY = "history of "
"""Prefix of sources that are not in the message."""
_PATTERNS: Mapping[str, str] = {
    "amount": r"amount(_log|_whole|_round)?|amount_(to|z|payee|log_z).*|(night|day|device|device_day)_limit_left",
    "initiated_at": r"hour|night|(hour|week)_habit",
    "calendar": r"weekday",
    "side": r"side",
    "payer.tax_id": r"payer_company",
    "payee.tax_id": r"payee_company|person_to_person|same_person|owner_markers",
    "payer.limits": r"customer_(night|day)_limit",
    "initiation_form": r"form_.*",
    "purpose": r"purpose_.*",
    "payee.key": r"key_.*",
    "payer.account_type": r"payer_payment_account",
    "payee.account_type": r"payee_payment_account",
    "payer.opened_at": r"payer_account_age",
    "payee.opened_at": r"payee_account_age",
    "payee.ispb": r"same_institution",
    "payee.registered_by_payer": r"payee_registered",
    "device": r"(new_)?device(_.*)?|handset_.*",
    "payee_statistics": r"dict_.*",
    "history of the payer": r"payer_.*",
    "history of the payee": r"payee_.*",
    "history of the pair": r"new_pair|pair_.*",
}
CALENDAR = "calendar"
"""A source with one value a day: it cannot be a cause."""
SOURCES = tuple(source for source in _PATTERNS if source != CALENDAR)


def source_of(feature: str) -> str:
    """Return the source of a feature, the first that fits.

    >>> source_of("amount_z_7d"), source_of("payer_account_age"), source_of("payer_since_last")
    ('amount', 'payer.opened_at', 'history of the payer')
    """
    return next(source for source, pattern in _PATTERNS.items() if re.fullmatch(pattern, feature))


def members(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the places in the feature vector of each source that a model with the inputs `names` reads.

    >>> members(["amount_log", "hour"])["initiated_at"][0] == FEATURE_NAMES.index("hour")
    True
    """
    read = {source_of(name) for name in names}
    return {
        source: [place for place, name in enumerate(FEATURE_NAMES) if source_of(name) == source]
        for source in SOURCES
        if source in read
    }
