"""Errors of the desk, each of which becomes a page with its own words."""

from __future__ import annotations

from shared.errors import Misconfigured, PixError


class HeldByAnother(PixError):
    """Another person holds the lock of the case; answer 409."""


class JudgedMeanwhile(PixError):
    """The case has a verdict that the user's page did not show; answer 409."""


class NoSuchCase(PixError):
    """There is no decision with this id and side; answer 404."""


class NotAllowed(PixError):
    """The user's role, or an earlier part in the case, does not allow it; answer 403."""


class NoContact(Misconfigured):
    """No contact for requests of a review is set, which a document has to name; answer 404."""


class RecordRefused(PixError):
    """A record that the register of suspicions does not take, by its content or its time."""
