"""Google identity tokens for MLflow's client, as Cloud Run authenticates the callers of MLflow's server.

MLflow finds the provider by its entry point (pyproject.toml) if MLFLOW_TRACKING_AUTH is `google`.
"""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit

from google.auth.credentials import Credentials
from google.auth.transport.requests import Request
from google.oauth2.id_token import fetch_id_token_credentials
from mlflow.tracking.request_auth.abstract_request_auth_provider import RequestAuthProvider
from requests import PreparedRequest
from requests.auth import AuthBase

NAME = "google"


class GoogleIdentity(AuthBase):
    """Sign requests with identity tokens; a token is valid for one server only."""

    def __init__(self) -> None:
        self._credentials = cache(
            fetch_id_token_credentials
        )  # credentials keep a token until shortly before it expires

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Return the request with a token for its server. Raises google.auth.exceptions.GoogleAuthError."""
        url = str(request.url)
        credentials: Credentials = self._credentials(audience(url))
        credentials.before_request(Request(), str(request.method), url, request.headers)
        return request


class GoogleRequestAuthProvider(RequestAuthProvider):
    """The provider that MLflow creates once and asks at every request."""

    def __init__(self) -> None:
        self._identity = GoogleIdentity()

    def get_name(self) -> str:
        """Return the value of MLFLOW_TRACKING_AUTH that chooses this provider."""
        return NAME

    def get_auth(self) -> GoogleIdentity:
        """Return the signer of requests."""
        return self._identity


def audience(url: str) -> str:
    """Return the audience that Cloud Run demands of a token: the address of the service.

    >>> audience("https://pix-mlflow-a1.run.app/api/2.0/mlflow/runs/create?x=1")
    'https://pix-mlflow-a1.run.app'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
