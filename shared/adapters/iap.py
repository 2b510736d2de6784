"""`shared.desk.ports.Identity` by Identity-Aware Proxy: the header that it signs, checked against Google's keys.

Source: Google Cloud, "Securing your app with signed headers".
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from google.auth import jwt
from google.auth.exceptions import GoogleAuthError

from shared.adapters.google_keys import GoogleKeys, Keys, read_keys

log = logging.getLogger(__name__)

HEADER = "x-goog-iap-jwt-assertion"
ISSUER = "https://cloud.google.com/iap"
KEYS_URL = "https://www.gstatic.com/iap/verify/public_key"
SKEW_SECONDS = 30


def google_keys() -> Keys:
    """Return IAP's public keys. Raises Unavailable."""
    return read_keys(KEYS_URL)


class IapIdentity:
    """Users by the header that IAP adds to each request, signed for `audience` with ES256."""

    def __init__(
        self, audience: str, keys: Callable[[], Keys] = google_keys, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._audience = audience
        self._keys = GoogleKeys(keys, clock)

    async def email(self, headers: Mapping[str, str]) -> str | None:
        """Return the address in the header, None without a header that is signed, in time and for us.

        Raises Unavailable if the key behind it is not known and the keys cannot be had.
        """
        token = headers.get(HEADER)
        if not token:
            return None
        try:
            keys = await self._keys.of(token)
            claims = jwt.decode(token, keys, audience=self._audience, clock_skew_in_seconds=SKEW_SECONDS)
        except (ValueError, GoogleAuthError):  # neither says anything of the header's content in the log
            log.warning("a header of IAP was refused")
            return None
        return str(claims["email"]).lower() if claims.get("iss") == ISSUER and claims.get("email") else None
