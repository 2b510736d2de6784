"""The embedded server to a client: what it answers, what it refuses, and what it starts from."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import NoScriptError, ResponseError

from infra.local.errors import ChildDied
from infra.local.processes import ChildProcess, Supervisor
from infra.local.valkey_server import valkey_server
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.script import script
from shared.features.columns import Events
from shared.features.history import MemoryHistory
from shared.ports import Claim
from tests.contract.local_servers import HERE
from tests.unit.streams import event


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with Supervisor() as supervisor:
        server = valkey_server(tmp_path_factory.mktemp("valkey"), "embedded")
        supervisor.start(server.child)
        yield server.port


@pytest.fixture(params=[2, 3])
def redis(port: int, request: pytest.FixtureRequest) -> Iterator[Redis]:
    with Redis(port=port, protocol=request.param, username="default", password="none") as client:
        client.flushall()
        yield client


def test_it_answers_what_clients_ask_of_every_server(redis: Redis) -> None:
    assert redis.ping()
    assert redis.dbsize() == 0
    assert redis.info()["redis_mode"] == "standalone"
    assert redis.client_setname("score")


def test_what_it_does_not_know_is_an_error_that_says_so(redis: Redis) -> None:
    for refused in (lambda: redis.set("a", 1), lambda: redis.eval("return 1", 0), lambda: redis.client_list()):
        with pytest.raises(ResponseError, match=r"embedded server knows|unknown subcommand"):
            refused()
    assert redis.ping()


def test_a_script_has_to_be_loaded_before_it_is_named(redis: Redis) -> None:
    redis.script_flush()
    with pytest.raises(NoScriptError):
        redis.evalsha(script().sha, 1, "n", "counted")
    assert redis.script_load(script().text) in (script().sha, script().sha.encode())
    assert redis.evalsha(script().sha, 1, "n", "counted") == 0


def test_wrong_arguments_are_an_error_and_not_the_end(redis: Redis) -> None:
    for arguments in (["no_such_command"], ["fill", 1], ["observe", "x"]):
        with pytest.raises(ResponseError, match="wrong arguments"):
            redis.eval(script().text, 1, "n", *arguments)
    assert redis.ping()


@pytest.mark.parametrize("spoilt", [b"GET / HTTP/1.1\r\n\r\n", b"*1\r\n$x\r\n", b"*-5\r\n", b"$3\r\nabc\r\n"])
def test_bytes_that_are_no_command_end_their_connection_only(port: int, spoilt: bytes, redis: Redis) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(spoilt)
        assert connection.recv(100).startswith(b"-ERR Protocol error")
        assert connection.recv(100) == b""
    assert redis.ping()


def serving(*arguments: str, log: Path) -> ChildProcess:
    return ChildProcess(
        "Valkey", [sys.executable, "-m", "infra.local.valkey", "--port", "0", *arguments], log_path=log, cwd=HERE
    )


def test_it_starts_from_what_a_replay_wrote(tmp_path: Path) -> None:
    history, dump = MemoryHistory(), tmp_path / "history.npz"
    history.observe([event(0, 1), event(1, 2, 5)])
    history.dump(dump)

    async def goes_on(port: int) -> list[int]:
        client = ValkeyHistory.connect(f"valkey://127.0.0.1:{port}", 1, 30, 900, 900)
        seen = await client.observe(Events([event(0, 1, 9)]), Claim(None, 1))
        await client.close()
        return list(seen.sequence.tolist())

    with Supervisor() as supervisor:
        ready = supervisor.start(serving("--load", str(dump), log=tmp_path / "log"))
        assert asyncio.run(goes_on(ready["port"])) == [3]


def test_a_file_that_holds_no_history_is_refused_with_a_reason(tmp_path: Path) -> None:
    with Supervisor() as supervisor, pytest.raises(ChildDied, match="holds no state of history"):
        supervisor.start(serving("--load", str(tmp_path / "none.npz"), log=tmp_path / "log"))
