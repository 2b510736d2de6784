"""Connections and commands of the embedded server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from infra.local.valkey.resp import Failure, NotRespError, Reply, Simple, encode, read_command
from infra.local.valkey.store import Store
from shared.adapters.valkey.script import script

VERSION = "7.2.0"
OK = Simple("OK")
_ACCEPTED_OF_CLIENTS = (b"SETINFO", b"SETNAME", b"NO-EVICT", b"NO-TOUCH")


class Session:
    """One connection: which protocol it speaks. Commands run one at a time, as they do in the real server."""

    def __init__(self, store: Store, known: set[str]) -> None:
        self._store = store
        self._known = known
        self.protocol = 2

    def reply(self, command: Sequence[bytes]) -> Reply:
        """Return the reply to a command; what is not known here is an error that says so."""
        name = command[0].decode(errors="replace").lower()
        run = getattr(self, f"_run_{name}", None)
        if run is None:
            return Failure(f"ERR the embedded server knows no command '{name}'; install valkey or redis for it")
        try:
            reply: Reply = run(command[1:])
        except Failure as error:
            return error
        except (ValueError, IndexError, KeyError):
            return Failure(f"ERR wrong arguments for '{name}'")
        return reply

    def _run_hello(self, arguments: Sequence[bytes]) -> Reply:
        if arguments:
            if arguments[0] not in (b"2", b"3"):
                return Failure("NOPROTO unsupported protocol version")
            self.protocol = int(arguments[0])
        return {
            "server": b"redis",
            "version": VERSION.encode(),
            "proto": self.protocol,
            "id": 1,
            "mode": b"standalone",
            "role": b"master",
            "modules": [],
        }

    def _run_auth(self, _arguments: Sequence[bytes]) -> Reply:
        return OK

    def _run_select(self, arguments: Sequence[bytes]) -> Reply:
        return OK if arguments[0] == b"0" else Failure("ERR the embedded server has one database, 0")

    def _run_client(self, arguments: Sequence[bytes]) -> Reply:
        return OK if arguments[0].upper() in _ACCEPTED_OF_CLIENTS else Failure("ERR unknown subcommand of CLIENT")

    def _run_ping(self, arguments: Sequence[bytes]) -> Reply:
        return arguments[0] if arguments else Simple("PONG")

    def _run_info(self, _arguments: Sequence[bytes]) -> Reply:
        return f"# Server\r\nredis_version:{VERSION}\r\nredis_mode:standalone\r\nloading:0\r\n".encode()

    def _run_dbsize(self, _arguments: Sequence[bytes]) -> Reply:
        return len(self._store)

    def _run_flushall(self, _arguments: Sequence[bytes]) -> Reply:
        self._store.clear()
        return OK

    def _run_unlink(self, names: Sequence[bytes]) -> Reply:
        return self._store.unlink(names)

    def _run_script(self, arguments: Sequence[bytes]) -> Reply:
        if arguments[0].upper() == b"FLUSH":
            self._known.clear()
            return OK
        if arguments[0].upper() != b"LOAD":
            return Failure("ERR unknown subcommand of SCRIPT")
        return self._learn(arguments[1]).encode()

    def _run_eval(self, arguments: Sequence[bytes]) -> Reply:
        self._learn(arguments[0])
        return self._evaluate(arguments[1:])

    def _run_evalsha(self, arguments: Sequence[bytes]) -> Reply:
        if arguments[0].decode().lower() not in self._known:
            return Failure("NOSCRIPT No matching script. Please use EVAL.")
        return self._evaluate(arguments[1:])

    def _learn(self, text: bytes) -> str:
        """Accept the script of history. Raises Failure for any other."""
        sha = hashlib.sha1(text, usedforsecurity=False).hexdigest()
        if sha != script().sha:
            raise Failure("ERR the embedded server knows one script, that of history; install valkey or redis")
        self._known.add(sha)
        return sha

    def _evaluate(self, arguments: Sequence[bytes]) -> Reply:
        reply = self._store.run(arguments[1 + int(arguments[0]) :])
        return list(reply) if isinstance(reply, list) else reply


async def serve(store: Store, host: str, port: int) -> asyncio.Server:
    """Listen; the server runs until it is closed. Raises OSError if the port is taken."""
    known: set[str] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _converse(Session(store, known), reader, writer)

    return await asyncio.start_server(connected, host, port)


async def _converse(session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            command = await read_command(reader)
            writer.write(encode(session.reply(command), session.protocol) if command else b"")
            await writer.drain()
    except NotRespError as error:
        writer.write(encode(Failure(f"ERR Protocol error: {error}"), 2))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, asyncio.CancelledError):
        pass  # the client has gone, or we have to
    finally:
        writer.close()
