"""Callers are known by a token that Google signed for one of their accounts and for this service."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

from shared.adapters import google_oidc
from shared.adapters.google_keys import AGAIN_SECONDS
from shared.adapters.google_oidc import GoogleCallers
from shared.adapters.memory.callers import MemoryCallers
from shared.errors import Misconfigured, Unauthenticated, Unavailable
from shared.settings import OIDC_BY, PLATFORM, Settings
from shared.wiring.common import callers

AUDIENCE, ACCOUNT = "https://pix-score.bank", "push@bank.iam.gserviceaccount.com"
CLAIMS = {"iss": "https://accounts.google.com", "aud": AUDIENCE, "email": ACCOUNT, "email_verified": True}


class Google:
    """An issuer with one key, whose certificates are fetched."""

    def __init__(self, name: str) -> None:
        key = rsa.generate_private_key(65537, 2048)
        now, subject = dt.datetime.now(dt.UTC), x509.Name([])
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + dt.timedelta(days=1))
            .sign(key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._signer = crypt.RSASigner.from_string(private, name)
        self.certificates = {name: certificate.decode()}
        self.fetched = 0

    def fetch(self) -> dict[str, str]:
        self.fetched += 1
        return dict(self.certificates)

    def token(self, seconds: float = 3_600, **changes: Any) -> str:
        now = int(time.time())
        claims = {**CLAIMS, "iat": now - 60, "exp": int(now + seconds), **changes}
        return str(jwt.encode(self._signer, claims).decode())


@pytest.fixture(scope="module")
def google() -> Google:
    return Google("one")


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def verified(of: GoogleCallers | MemoryCallers, token: str) -> bool:
    try:
        asyncio.run(of.verify(token))
    except Unauthenticated:
        return False
    return True


def test_a_token_for_another_audience_account_issuer_or_time_is_refused(google: Google) -> None:
    known = GoogleCallers(AUDIENCE, [ACCOUNT], google.fetch)
    assert verified(known, google.token())
    wrong: list[dict[str, Any]] = [
        {"aud": "https://other.bank"},
        {"email": "other@bank.iam.gserviceaccount.com"},
        {"email_verified": False},
        {"iss": "https://issuer.bank"},
        {"seconds": -60},
        {"iat": time.time() + 3_600},
        {"email": None},
    ]
    assert [verified(known, google.token(**changes)) for changes in wrong] == [False] * len(wrong)
    head, body, _ = google.token().split(".")
    forged = [f"{head}.{body}.AAAA", f"{head}.{body}.", "", "a.b.c", "\ud800", Google("one").token()]
    assert [verified(known, token) for token in forged] == [False] * len(forged)


def test_certificates_are_read_once_and_again_for_a_new_key_but_not_for_every_invention() -> None:
    clock, other, issuer = Clock(), Google("two"), Google("one")
    known = GoogleCallers(AUDIENCE, [ACCOUNT], issuer.fetch, clock)
    assert [verified(known, issuer.token(seconds=3_000 + n)) for n in range(9)] == [True] * 9
    assert issuer.fetched == 1
    issuer.certificates |= other.certificates
    assert [verified(known, other.token()) for _ in range(9)] == [False] * 9
    clock.now += AGAIN_SECONDS
    assert (verified(known, other.token()), issuer.fetched) == (True, 2)


def test_a_verified_token_is_known_until_it_expires(google: Google) -> None:
    clock = Clock()
    known, token = GoogleCallers(AUDIENCE, [ACCOUNT], google.fetch, clock), google.token(seconds=-5)
    assert verified(known, token), "it has expired within the skew"
    keys, lasting = dict(google.certificates), google.token()
    verified(known, lasting)
    try:
        google.certificates.clear()
        clock.now += 3_500
        assert verified(known, lasting)
        clock.now += 101
        assert not verified(known, lasting)
    finally:
        google.certificates |= keys


def test_certificates_that_cannot_be_had_are_unavailable(monkeypatch: pytest.MonkeyPatch, google: Google) -> None:
    def failing(*_: Any, **__: Any) -> requests.Response:
        answer = requests.Response()
        answer.status_code = 503
        return answer

    monkeypatch.setattr(requests, "get", failing)
    with pytest.raises(Unavailable):
        asyncio.run(GoogleCallers(AUDIENCE, [ACCOUNT], google_oidc.certificates).verify(google.token()))


def test_the_twin_refuses_what_it_does_not_know() -> None:
    assert [verified(MemoryCallers(["one"]), token) for token in ("one", "two")] == [True, False]


def test_nobody_serves_unverified_by_accident() -> None:
    with pytest.raises(Misconfigured, match="PIX_OIDC_AUDIENCE"):
        callers(Settings("p"))
    with pytest.raises(Misconfigured, match="PIX_OIDC_ACCOUNTS"):
        Settings("p", oidc_audience=AUDIENCE)
    with pytest.raises(Misconfigured, match="PIX_OIDC_AUDIENCE"):
        callers(Settings("p", service="pix-score", revision="pix-score-1"))  # as any Knative names them
    with pytest.raises(Misconfigured, match="PIX_OIDC_BY"):
        Settings("p", oidc_by="nobody")
    assert callers(Settings("p", oidc_by=PLATFORM)) is None
    assert callers(Settings("p", bigquery_emulator_host="http://127.0.0.1:1")) is None
    for by in OIDC_BY:
        own = Settings("p", oidc_audience=AUDIENCE, oidc_accounts=ACCOUNT, oidc_by=by)
        assert isinstance(callers(own), GoogleCallers)
