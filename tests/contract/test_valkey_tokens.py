"""A store that asks for a token gets the one of now at each connection."""

import asyncio
from pathlib import Path

import pytest
from redis import Redis

from infra.local.processes import Supervisor
from infra.local.valkey.launch import valkey_server
from shared.adapters.valkey import credentials
from shared.adapters.valkey.clients import client
from shared.adapters.valkey.store import ValkeyStore
from shared.errors import Misconfigured, Unavailable


def test_a_client_connects_by_the_token_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = ["first"]
    monkeypatch.setattr(credentials, "GoogleToken", lambda: lambda: tokens[-1])

    async def scenario(url: str, admin: Redis) -> None:
        found = client(f"{url}?auth=google", 5.0, 5.0)
        await found.reach()
        tokens.append("second")
        admin.config_set("requirepass", "second")
        await found.reach()  # by the connection that was let in
        admin.client_kill_filter(_type="normal", skipme=True)
        await found.reach()
        tokens.append("refused")
        admin.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(Unavailable, match="AuthenticationError"):
            await found.reach()
        await found.close()

    with Supervisor() as supervisor:
        server = valkey_server(tmp_path)
        supervisor.start(server.child)
        with Redis.from_url(server.url) as admin:
            admin.config_set("requirepass", "first")
            asyncio.run(scenario(server.url, admin))
            tokens.append("second")
            store = ValkeyStore.connect(f"{server.url}?auth=google", 60)
            assert store.is_empty()
            store.close()


def test_without_a_token_the_store_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing"))

    async def scenario(url: str) -> None:
        found = client(f"{url}?auth=google", 5.0, 5.0)
        with pytest.raises(Unavailable):
            await found.reach()
        await found.close()

    with Supervisor() as supervisor:
        server = valkey_server(tmp_path)
        supervisor.start(server.child)
        asyncio.run(scenario(server.url))


def test_an_address_asks_for_google_or_for_nobody() -> None:
    with pytest.raises(Misconfigured, match="auth by google"):
        credentials.credentials_of("rediss://10.0.0.3:6379?auth=basic")


def test_the_rest_of_an_address_stays() -> None:
    asked = "rediss://h:1?ssl_ca_certs=/etc/ca.pem&auth=google&ssl_check_hostname=false"
    url, tokens = credentials.credentials_of(asked)
    assert url == "rediss://h:1?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false"
    assert tokens is not None
