"""Tokens of Google's IAM in place of a password: Memorystore for Valkey asks for one when a client connects.

A token holds for an hour, and a connection outlives it; each new connection gets the token of its time.
https://docs.cloud.google.com/memorystore/docs/valkey/about-iam-auth
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis import exceptions
from redis.credentials import CredentialProvider

from shared.errors import Misconfigured

PARAMETER, GOOGLE = "auth", "google"
"""Part of an address: `?auth=google` asks for tokens of the account under which the process runs."""
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Tokens(CredentialProvider):
    """The credentials of a client, as the user `default` with a token of now."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def get_credentials(self) -> tuple[str]:
        """Return the token. Blocks. Raises the client's ConnectionError without one."""
        return (self._token(),)

    async def get_credentials_async(self) -> tuple[str]:
        """Return the token, from another thread."""
        return await asyncio.to_thread(self.get_credentials)


class GoogleToken:
    """The token of the account under which the process runs, renewed before it expires."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials: Any = None

    def __call__(self) -> str:
        """Return a token that is valid. Blocks. Raises the client's ConnectionError."""
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        with self._lock:
            try:
                found = self._credentials or google.auth.default(scopes=[SCOPE])[0]
                if not found.valid:
                    found.refresh(Request())
            except GoogleAuthError as error:
                raise exceptions.ConnectionError(f"no token: {type(error).__name__}") from error
            self._credentials = found
            return str(found.token)


def credentials_of(url: str) -> tuple[str, Tokens | None]:
    """Return an address without PARAMETER, and the credentials that it asks for. Raises Misconfigured.

    >>> credentials_of("redis://10.0.0.3:6379?ssl_check_hostname=false")
    ('redis://10.0.0.3:6379?ssl_check_hostname=false', None)
    """
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    asked = [value for name, value in options if name == PARAMETER]
    if not asked:
        return url, None
    if asked != [GOOGLE]:
        raise Misconfigured(f"the address of a store of history asks for {PARAMETER} by {GOOGLE}, or for none")
    rest = urlencode([(name, value) for name, value in options if name != PARAMETER], safe="/")
    return urlunsplit(parts._replace(query=rest)), Tokens(GoogleToken())
