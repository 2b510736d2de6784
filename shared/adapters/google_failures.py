"""Errors of Google's client libraries, mapped once for all adapters over HTTP."""

from __future__ import annotations

import concurrent.futures
import http.client
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3.exceptions
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from shared.errors import Misconfigured, Unavailable

FAILURES: tuple[type[Exception], ...] = (
    exceptions.GoogleAPIError,
    GoogleAuthError,
    requests.RequestException,
    # From below requests, if a connection breaks in a body; Google's libraries retry these themselves.
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    ConnectionError,
    concurrent.futures.TimeoutError,
)
"""Errors that become `shared.errors.Unavailable`, unless an adapter maps one of them more precisely."""


@contextmanager
def credentials_needed() -> Iterator[None]:
    """Map the errors of default credentials while the block creates a client.

    Raises Misconfigured if there are none, Unavailable if they cannot be had now.
    """
    try:
        yield
    except DefaultCredentialsError as error:
        raise Misconfigured("no credentials of Google Cloud: run gcloud auth application-default login") from error
    except GoogleAuthError as error:
        raise Unavailable(f"credentials of Google Cloud: {type(error).__name__}") from error
