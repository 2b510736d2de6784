"""`shared.ports.blobs.Signer` by a private key in a file (PEM, PKCS 8): of the local cloud and of tests.

In production nobody holds the key: `shared.adapters.kms`.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from shared.errors import Misconfigured


class KeyFileSigner:
    """Signatures of Ed25519 by a key in memory."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def of(cls, file: Path) -> KeyFileSigner:
        """Return the signer of the key in a file. Raises Misconfigured, never with its content."""
        try:
            key = load_pem_private_key(file.read_bytes(), password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise Misconfigured(f"PIX_MODEL_SIGNER: {file} has no private key ({type(error).__name__})") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise Misconfigured(f"PIX_MODEL_SIGNER: the key in {file} is not one of Ed25519")
        return cls(key)

    @classmethod
    def kept(cls, file: Path) -> KeyFileSigner:
        """Return the signer of the key in a file, made with a new key if missing. Raises Misconfigured, OSError."""
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            _write_new(file, Ed25519PrivateKey.generate())
        return cls.of(file)

    @property
    def public_key(self) -> str:
        """Return the public key as PIX_MODEL_KEYS has it."""
        return encoded(self._key.public_key())

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        return self._key.sign(message)


def encoded(key: Ed25519PublicKey) -> str:
    """Return a public key as PIX_MODEL_KEYS has it: its SubjectPublicKeyInfo in base64."""
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def _write_new(file: Path, key: Ed25519PrivateKey) -> None:
    """Write a key that its owner alone may read; a file is whole or not there."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as opened:
        opened.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    try:
        os.link(draft, file)
    except FileExistsError:  # another process was first
        pass
    finally:
        draft.unlink()
