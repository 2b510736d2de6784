"""The key that signs models in tests, as the variables of jobs and functions."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.adapters.key_file import KeyFileSigner
from shared.ports.blobs import Signer
from shared.scoring.signature import public_keys
from shared.scoring.signed_blobs import Bucket, SignedBlobs, Trust

SIGNER = KeyFileSigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))
TRUST = Trust(public_keys(SIGNER.public_key), "pix-models")


def in_trust(bucket: Bucket, signer: Signer | None = SIGNER) -> SignedBlobs:
    """Return a bucket of models in which SIGNER's signatures count."""
    return SignedBlobs(bucket, TRUST, signer)


def signing(folder: Path) -> dict[str, str]:
    """Return the variables of a process that signs by a key in a folder, made if missing."""
    file = folder.absolute() / "model-key.pem"
    return {"PIX_MODEL_KEYS": KeyFileSigner.kept(file).public_key, "PIX_MODEL_SIGNER": str(file)}
