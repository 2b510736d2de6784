"""Versions of secrets in Secret Manager, for processes that no platform gives them to, over its REST API.

https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping

import msgspec
import requests
from msgspec import Struct

from shared.adapters.google_failures import FAILURES, credentials_needed
from shared.errors import Misconfigured, Unavailable

SCHEME = "secret://"
"""Begins a value of the environment that names the version of a secret: secret://projects/p/secrets/s/versions/7."""
ADDRESS = "https://secretmanager.googleapis.com"
CALL_SECONDS = 30.0
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_ABSENT = (400, 403, 404)
_FAILURES: tuple[type[Exception], ...] = (*FAILURES, msgspec.DecodeError, binascii.Error, UnicodeDecodeError)


class _Payload(Struct):
    data: str


class _Answer(Struct):
    payload: _Payload


class SecretVersions:
    """Reads versions of secrets as the account of a session."""

    def __init__(self, session: requests.Session, address: str = ADDRESS) -> None:
        self._session = session
        self._address = address

    def read(self, name: str) -> str:
        """Return the text of a version. Raises Misconfigured if it cannot be read by this account, Unavailable."""
        try:
            answer = self._session.get(f"{self._address}/v1/{name}:access", timeout=CALL_SECONDS)
            if answer.status_code in _ABSENT:
                raise Misconfigured(f"{name}: Secret Manager answers {answer.status_code}")
            answer.raise_for_status()
            found = msgspec.json.decode(answer.content, type=_Answer)
            return base64.b64decode(found.payload.data, validate=True).decode()
        except _FAILURES as error:
            raise Unavailable(f"{name}: {type(error).__name__}") from None  # an error of decoding holds the secret


def secret_versions() -> SecretVersions:
    """Return the secrets that the account of this process may read. Raises Misconfigured, Unavailable."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    with credentials_needed():
        credentials, _ = google.auth.default(scopes=[_SCOPE])
    return SecretVersions(AuthorizedSession(credentials))


def revealed(environment: Mapping[str, str], secrets: Callable[[], SecretVersions]) -> dict[str, str]:
    """Return an environment with the secrets that it names in their place; without any, `secrets` is not called.

    Raises Misconfigured, Unavailable.

    >>> revealed({"PIX_DATASET": "pix"}, secret_versions)
    {'PIX_DATASET': 'pix'}
    """
    named = {name: value.removeprefix(SCHEME) for name, value in environment.items() if value.startswith(SCHEME)}
    versions = secrets() if named else None
    return {**environment, **({name: versions.read(secret) for name, secret in named.items()} if versions else {})}
