"""What Google's client libraries raise over HTTP when a service does not answer as it should."""

from __future__ import annotations

import concurrent.futures

import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError

FAILURES: tuple[type[Exception], ...] = (
    exceptions.GoogleAPICallError,
    exceptions.RetryError,
    GoogleAuthError,
    requests.RequestException,
    concurrent.futures.TimeoutError,
)
"""Becomes `shared.errors.Unavailable`, unless an adapter knows better of one of them."""
