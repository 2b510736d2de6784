"""Users and their roles."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from shared.errors import Misconfigured


class DeskRole(StrEnum):
    """The rights of a user: ANALYST judges, SUPERVISOR also sees who did, RISK only reads."""

    ANALYST = "analyst"
    SUPERVISOR = "supervisor"
    RISK = "risk"


class User(Struct, frozen=True):
    """A person at the desk: `name` is the address by which the identity provider knows them, `id` its pseudonym."""

    name: str
    id: str
    role: DeskRole

    @property
    def may_judge(self) -> bool:
        """Return whether the user may take and judge cases."""
        return self.role is not DeskRole.RISK

    @property
    def sees_names(self) -> bool:
        """Return whether the user sees the figures of single analysts."""
        return self.role is DeskRole.SUPERVISOR


def roles(text: str) -> Mapping[str, DeskRole]:
    """Return the role of each address, or of each domain as `*@domain`. Raises Misconfigured.

    >>> roles("ana@bank.example=analyst, *@risk.example=risk")["*@risk.example"]
    <DeskRole.RISK: 'risk'>
    """
    found = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, role = part.rpartition("=")
        if "@" not in name or role not in list(DeskRole):
            raise Misconfigured("PIX_DESK_ROLES is not a list of user@domain=analyst|supervisor|risk")
        found[name.lower()] = DeskRole(role)
    return found


def role_of(email: str, known: Mapping[str, DeskRole]) -> DeskRole | None:
    """Return the role of a user, by the address before the domain; None for any other person.

    >>> role_of("Rui@risk.example", roles("*@risk.example=risk"))
    <DeskRole.RISK: 'risk'>
    """
    name = email.lower()
    return known.get(name) or known.get(f"*@{name.rpartition('@')[2]}")
