"""Reviewers who judge held Pix, and customers who complain, each by a lot of the Pix itself.

The same Pix has the same lots whatever else happens, so that runs can be repeated and compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

MISSED: Mapping[str, float] = {
    "ACCOUNT_TAKEOVER": 0.10,
    "COERCION": 0.12,
    "FRAUDULENT_ACCESS": 0.15,
    "SCAM": 0.18,
}
"""Share of the held frauds that a reviewer releases, by `situation_type`; assumptions, in the mean `review_detects`.

Who was deceived confirms the Pix when asked, so scams are the hardest.
"""
MISSED_OTHERWISE = 0.15
"""The same for any other situation, or none that is known."""
REFUSED_IN_ERROR = 0.03
"""Share of the held legitimate Pix that a reviewer refuses as fraud; an assumption."""
COMPLAINTS = 0.3
"""Share of the legitimate Pix that were rejected or refused whose customer complains, and is believed; an assumption.

Each complaint ends in a verdict: nobody complains for a fraud that was stopped.
"""


def lot(end_to_end_id: str, about: str) -> float:
    """Return a number from 0 to below 1 that looks drawn by chance, always the same for a Pix and a question."""
    digest = hashlib.blake2b(end_to_end_id.encode(), digest_size=8, key=about.encode()).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def refusals(situation: str | None) -> float:
    """Return the share of held Pix that a reviewer refuses; `situation` is that of a fraud, None is legitimate.

    >>> refusals("SCAM"), refusals(None)
    (0.82..., 0.03)
    """
    return REFUSED_IN_ERROR if situation is None else 1 - MISSED.get(situation, MISSED_OTHERWISE)


def refuses(end_to_end_id: str, situation: str | None) -> bool:
    """Return whether the reviewer of a held Pix refuses it as fraud, and does not release it."""
    return lot(end_to_end_id, "review") < refusals(situation)


def complains(end_to_end_id: str, situation: str | None) -> bool:
    """Return whether a customer complains about a Pix that was rejected or refused."""
    return situation is None and lot(end_to_end_id, "complaint") < COMPLAINTS
