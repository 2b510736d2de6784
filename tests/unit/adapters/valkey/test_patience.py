"""History is lost to a store that is silent, not to one that works through a queue or to a loop that reads late."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any, NamedTuple

import pytest
import uvloop

from shared.adapters.valkey.clients import Client, client
from shared.adapters.valkey.patience import LONGEST_CALL
from shared.adapters.valkey.script import Script
from shared.errors import Unavailable
from tests.waiting import PATIENCE, settled

SCRIPT, SILENCE = Script.of("return 1"), 0.5
LOOPBACK, ONE = "127.0.0.1", b":1\r\n"


def greeting(asked: bytes) -> bytes:
    """Return the answer to the commands by which a client introduces itself."""
    return b"%0\r\n" * asked.count(b"HELLO") + b"+OK\r\n" * asked.count(b"CLIENT")


@asynccontextmanager
async def connected(port: int, silence: float = SILENCE) -> AsyncIterator[Client]:
    """Connect a client to the store at a port."""
    store = client(f"redis://{LOOPBACK}:{port}", PATIENCE, silence)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def slow_store(seconds: float) -> AsyncIterator[int]:
    """Serve a store that takes some seconds for a script and runs one at a time; yield its port."""
    turn, serving = asyncio.Lock(), set[asyncio.Task[Any] | None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with closing(writer):
            while asked := await reader.read(4_096):
                writer.write(greeting(asked))
                if b"EVALSHA" in asked:
                    async with turn:
                        await asyncio.sleep(seconds)
                    writer.write(ONE)

    async with await asyncio.start_server(serve, LOOPBACK, 0) as server:
        yield server.sockets[0].getsockname()[1]
        for task in filter(None, serving):
            task.cancel()
        await asyncio.wait(filter(None, serving))


class Turns(NamedTuple):
    """A store in a thread has been asked to run a script, and may answer."""

    asked: threading.Event
    answer: threading.Event


@contextmanager
def other_store() -> Iterator[tuple[int, Turns]]:
    """Serve a store for one connection in a thread; yield its port and its turns."""
    turns = Turns(threading.Event(), threading.Event())

    def serve() -> None:
        with closing(listening.accept()[0]) as connection:
            while asked := connection.recv(4_096):
                connection.sendall(greeting(asked))
                if b"EVALSHA" in asked:
                    turns.asked.set()
                    turns.answer.wait(PATIENCE)
                    connection.sendall(ONE)

    with closing(socket.create_server((LOOPBACK, 0))) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], turns
        thread.join(PATIENCE)


def test_a_call_waits_for_those_of_other_batches_before_it() -> None:
    async def run() -> list[int]:
        async with slow_store(0.8 * SILENCE) as port, connected(port) as store:
            answers: list[int] = await asyncio.gather(*(store.run(SCRIPT, ["k"], []) for _ in range(LONGEST_CALL)))
            return answers

    assert asyncio.run(run()) == [1] * LONGEST_CALL


def test_an_answer_in_time_is_read_by_a_loop_that_was_busy_meanwhile() -> None:
    async def run() -> int:
        with other_store() as (port, turns):
            async with connected(port, silence := 0.1) as store:
                call = asyncio.create_task(store.run(SCRIPT, ["k"], []))
                while not turns.asked.is_set():
                    await asyncio.sleep(0)
                await settled()  # the call waits for its answer now
                turns.answer.set()
                time.sleep(2 * LONGEST_CALL * silence)  # blocks the loop, as another batch does
                return int(await call)

    assert uvloop.run(run()) == 1


def test_a_silent_store_is_unavailable() -> None:
    async def run() -> None:
        async with slow_store(PATIENCE) as port, connected(port, 0.05) as store:
            with pytest.raises(Unavailable, match="TimeoutError"):
                await store.run(SCRIPT, ["k"], [])

    asyncio.run(run())
