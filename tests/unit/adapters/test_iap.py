"""The header of IAP: who signed it, for whom, until when, and the keys behind it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.auth import crypt, jwt

from shared.adapters import iap
from shared.adapters.google_keys import AGAIN_SECONDS, KEPT_SECONDS, Keys
from shared.adapters.iap import HEADER, ISSUER, IapIdentity, google_keys
from shared.errors import Unavailable
from tests.unit.clocks import ManualClock

AUDIENCE = "/projects/1/locations/southamerica-east1/services/pix-console"


class Signer:
    """A key pair by its id."""

    def __init__(self, key_id: str) -> None:
        private = ec.generate_private_key(ec.SECP256R1())
        self.public = (
            private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        self._signer = crypt.ES256Signer(private, key_id)

    def header(self, **changes: Any) -> dict[str, str]:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "email": "Ana@bank.example", "iat": now, "exp": now + 600} | changes
        return {HEADER: jwt.encode(self._signer, claims).decode()}


GOOGLE, FORGER = Signer("google"), Signer("forger")


class Counted:
    """Keys that count how often they are fetched."""

    def __init__(self, **keys: str) -> None:
        self.keys: Keys = keys
        self.fetched = 0

    def __call__(self) -> Keys:
        self.fetched += 1
        return self.keys


def email(headers: dict[str, str], identity: IapIdentity | None = None) -> str | None:
    identity = identity or IapIdentity(AUDIENCE, Counted(google=GOOGLE.public))
    return asyncio.run(identity.email(headers))


def test_a_header_that_google_signed_names_the_user() -> None:
    assert email(GOOGLE.header()) == "ana@bank.example"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {HEADER: "no.jwt"},
        {HEADER: "a.b.c"},
        GOOGLE.header(aud="/projects/1/locations/southamerica-east1/services/another"),
        GOOGLE.header(iss="https://accounts.google.com"),
        GOOGLE.header(exp=int(time.time()) - 3_600, iat=int(time.time()) - 7_200),
        GOOGLE.header(email=""),
        FORGER.header(),
    ],
)
def test_any_other_header_names_nobody(headers: dict[str, str]) -> None:
    assert email(headers) is None


def test_a_key_of_the_forger_under_googles_name_is_refused() -> None:
    assert email(Signer("google").header()) is None


def test_keys_are_fetched_once_an_hour_and_for_an_unknown_one_once_a_minute(clock: ManualClock) -> None:
    keys = Counted(google=GOOGLE.public)
    identity = IapIdentity(AUDIENCE, keys, clock)
    for _ in range(3):
        email(GOOGLE.header(), identity)
        email(FORGER.header(), identity)
    assert keys.fetched == 1
    clock.now += AGAIN_SECONDS + 1
    email(FORGER.header(), identity)
    assert keys.fetched == 2
    clock.now += KEPT_SECONDS + 1
    email(GOOGLE.header(), identity)
    assert keys.fetched == 3


def test_keys_that_cannot_be_had_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iap, "KEYS_URL", "http://127.0.0.1:1/keys")
    with pytest.raises(Unavailable):
        google_keys()
