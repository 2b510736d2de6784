"""`shared.ports.decisions.Callers` by OIDC tokens that Google signs for service accounts, as of a push subscription.

A verified token is kept until it expires, as Pub/Sub sends the same one for up to an hour and verifying a signature
takes some 50 us.
Claims: https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from google.auth import jwt
from google.auth.exceptions import GoogleAuthError

from shared.adapters.google_keys import GoogleKeys, Keys, read_keys
from shared.errors import Unauthenticated

CERTIFICATES = "https://www.googleapis.com/oauth2/v1/certs"
ISSUERS = ("accounts.google.com", "https://accounts.google.com")
SKEW_SECONDS = 10
"""Seconds by which Google's clock and ours may differ."""
_KEPT = 1_000  # verified tokens


class GoogleCallers:
    """Callers with a token for an audience, of one of some service accounts."""

    def __init__(
        self,
        audience: str,
        accounts: Collection[str],
        fetch: Callable[[], Keys],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read certificates by `fetch`, which raises Unavailable; it runs in a thread."""
        self._audience = audience
        self._accounts = frozenset(accounts)
        self._clock = clock
        self._keys = GoogleKeys(fetch, clock)
        self._known: dict[str, float] = {}

    async def verify(self, token: str) -> None:
        """Return if a token is valid. Raises Unauthenticated, Unavailable."""
        if self._known.get(token, 0.0) > self._clock():
            return
        claims = await self._claims(token)
        if claims is None or not self._may_call(claims):
            raise Unauthenticated("the token is not one for this service")
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[token] = float(claims["exp"])

    async def _claims(self, token: str) -> Mapping[str, Any] | None:
        """Return the claims of a token for this audience that one of Google's certificates proves."""
        try:
            keys = await self._keys.of(token)
            claims: Mapping[str, Any] = jwt.decode(token, keys, True, self._audience, SKEW_SECONDS)
        except (GoogleAuthError, ValueError):
            return None
        return claims

    def _may_call(self, claims: Mapping[str, Any]) -> bool:
        is_google = claims.get("iss") in ISSUERS and claims.get("email_verified") is True
        return is_google and claims.get("email") in self._accounts


def certificates() -> Keys:
    """Return Google's present certificates. Raises Unavailable."""
    return read_keys(CERTIFICATES)
