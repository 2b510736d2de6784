"""A gRPC relay between the functions and BigQuery that can refuse or delay calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_ENDING_SECONDS = 30.0


class Relay(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no type hints
    """A context that serves `port` in its own thread.

    While `refuses`, every call ends with UNAVAILABLE, even if its rows are already stored. Each answer is delayed by
    `delay` seconds. A call ends with INVALID_ARGUMENT at a request that names one of `refused_ids`.
    """

    def __init__(self, target: str, port: int) -> None:
        self.refuses = False
        self.delay = 0.0
        self.refused_ids: frozenset[bytes] = frozenset()
        self._target = target
        self._port = port
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        """Return a handler that relays the call of any method."""
        method = details.method

        async def relay(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            await self._check(context)
            headers = [(name, text) for name, text in context.invocation_metadata() if name.startswith("x-goog-")]
            taken = _Taken(requests, lambda: self.refused_ids)
            call = self._channel.stream_stream(method)(taken.requests(), metadata=headers)
            try:
                async for answer in call:
                    await asyncio.sleep(self.delay)
                    await self._check(context)
                    yield answer
                if taken.refused:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "rows that the table does not know")
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details())
            finally:
                call.cancel()

        return grpc.stream_stream_rpc_method_handler(relay)

    async def _check(self, context: Any) -> None:
        if self.refuses:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "refused for a while")

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._channel = grpc.aio.insecure_channel(self._target, options=_UNLIMITED)
        server = grpc.aio.server(handlers=[self], options=_UNLIMITED)
        server.add_insecure_port(f"127.0.0.1:{self._port}")
        await server.start()
        self._started.set()
        await self._stop.wait()
        await server.stop(None)
        # Calls are cancelled, but have not ended: a loop that closes now would print a traceback for each.
        if ending := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(ending, timeout=_ENDING_SECONDS)
        await self._channel.close()


class _Taken:
    """The requests of a call up to the first one that names a refused id; those before it are answered."""

    def __init__(self, requests: AsyncIterator[bytes], refused_ids: Callable[[], frozenset[bytes]]) -> None:
        self.refused = False
        self._requests = requests
        self._refused_ids = refused_ids

    async def requests(self) -> AsyncIterator[bytes]:
        """Yield requests."""
        async for request in self._requests:
            self.refused = any(each in request for each in self._refused_ids())
            if self.refused:
                return
            yield request
