"""`shared.ports.blobs.Signer` by a key version of Cloud KMS, which nobody can export (EC_SIGN_P256_SHA256).

Checksums in both directions, as Google advises: https://cloud.google.com/kms/docs/data-integrity-guidelines
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.cloud import kms
from google_crc32c import value as crc32c

from shared.adapters.google_failures import FAILURES, credentials_needed
from shared.errors import Misconfigured, Unavailable

KEY_VERSION = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+/cryptoKeyVersions/\d+")
ATTEMPT_SECONDS = 10.0
TOTAL_SECONDS = 30.0
_REFUSALS = (
    *(exceptions.PermissionDenied, exceptions.NotFound, exceptions.FailedPrecondition, exceptions.InvalidArgument),
    exceptions.Unauthenticated,
)
"""Answers that another try does not change: no right, no such version, or one that is disabled."""


class KmsSigner:
    """Signatures by one version of an asymmetric key."""

    def __init__(self, client: kms.KeyManagementServiceClient, version: str, patience: float = TOTAL_SECONDS) -> None:
        """Retry a request for `patience` seconds."""
        self._client = client
        self._version = version
        passing = if_exception_type(exceptions.ServiceUnavailable, exceptions.DeadlineExceeded)
        self._sent: dict[str, Any] = {
            "timeout": min(ATTEMPT_SECONDS, patience),
            "retry": Retry(passing, 0.1, timeout=patience),
        }

    @classmethod
    def connect(cls, version: str) -> KmsSigner:
        """Return the signer of a version, before any request. Raises Misconfigured, Unavailable for credentials."""
        if not KEY_VERSION.fullmatch(version):
            raise Misconfigured("PIX_MODEL_SIGNER is neither a file nor a key version of Cloud KMS")
        with credentials_needed():
            return cls(kms.KeyManagementServiceClient(), version)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message. Raises Unavailable, Misconfigured."""
        try:
            return self._signed(message)
        except _REFUSALS as error:
            raise Misconfigured(f"PIX_MODEL_SIGNER: Cloud KMS refuses ({type(error).__name__})") from error
        except FAILURES as error:
            raise Unavailable(f"Cloud KMS: {type(error).__name__}") from error

    def _signed(self, message: bytes) -> bytes:
        digest = hashlib.sha256(message).digest()
        request = {"name": self._version, "digest": {"sha256": digest}, "digest_crc32c": crc32c(digest)}
        answer = self._client.asymmetric_sign(request=request, **self._sent)
        is_whole = answer.verified_digest_crc32c and answer.signature_crc32c == crc32c(answer.signature)
        if not is_whole or answer.name != self._version:
            raise Unavailable("Cloud KMS: request or answer was altered on its way")
        return bytes(answer.signature)
