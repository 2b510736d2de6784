"""The case desk of the local cloud: its users are named, as there is nobody to prove who they are."""

from __future__ import annotations

from collections.abc import Mapping

USERS: Mapping[str, str] = {
    "ana@desk.local": "analyst",
    "bia@desk.local": "analyst",
    "sol@desk.local": "supervisor",
    "rui@desk.local": "risk",
}
"""Named users and their roles; two analysts, as a second person has to agree above an amount."""
FIRST = next(iter(USERS))
REVIEW_CONTACT = "encarregado@desk.local"
REFRESH_SECONDS = 1.5
"""A look costs nothing here, but the local BigQuery stores no row during a query."""


def environment(**settings: float | str) -> dict[str, str]:
    """Return the variables of the desk; `settings` replace fields of DeskSettings.

    >>> environment(lock_seconds=1.0)["PIX_DESK_LOCK_SECONDS"]
    '1.0'
    """
    roles = ",".join(f"{user}={role}" for user, role in USERS.items())
    values: dict[str, float | str] = {"user": FIRST, "roles": roles, "refresh_seconds": REFRESH_SECONDS}
    values |= {"review_contact": REVIEW_CONTACT, **settings}
    return {f"PIX_DESK_{name.upper()}": str(value) for name, value in values.items()}
