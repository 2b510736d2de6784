"""The bucket of models, in the composition roots of functions and jobs: nothing unsigned decides."""

from __future__ import annotations

from pathlib import Path

from shared.adapters.gcs import GcsBlobs
from shared.ports.blobs import Signer
from shared.scoring.signature import public_keys
from shared.scoring.signed_blobs import SignedBlobs, Trust
from shared.settings import Settings


def models(settings: Settings, bucket: GcsBlobs, signer: Signer | None = None) -> SignedBlobs:
    """Return the bucket of models as PIX_MODEL_KEYS vouch for it; `signer` may write there. Raises Misconfigured."""
    return SignedBlobs(bucket, Trust(public_keys(settings.model_keys), settings.bucket), signer)


def model_signer(settings: Settings) -> Signer | None:
    """Return the key that PIX_MODEL_SIGNER names, None without one. Raises Misconfigured, Unavailable.

    A file is named by a path with a slash at its start, Cloud KMS by `projects/.../cryptoKeyVersions/N`.
    """
    if not settings.model_signer:
        return None
    if settings.model_signer.startswith("/"):
        from shared.adapters.key_file import KeyFileSigner

        return KeyFileSigner.of(Path(settings.model_signer))
    from shared.adapters.kms import KmsSigner

    return KmsSigner.connect(settings.model_signer)
