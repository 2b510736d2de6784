"""A Pub/Sub that streams prepared messages and counts their acknowledgements, so that only its client is measured.

It has one subscription. `POST /send?first=N&count=N` streams these messages, within the flow control of the stream,
and is answered with the seconds until the last acknowledgement. Messages that are nacked are an error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import uvicorn
import uvloop
from google.protobuf.empty_pb2 import Empty
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from infra.local.pubsub import wire
from infra.local.pubsub.streaming import LARGEST_BATCH
from shared.contract.envelope import decode_envelope
from tests.benchmarks.speed.events import END
from tests.benchmarks.speed.load import Requests

_SERVICE = "google.pubsub.v1.Subscriber"
_OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
_EMPTY: bytes = Empty().SerializeToString()


class SubscriberStub:
    """The calls of a subscriber, over prepared requests of push."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._ready: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._outstanding = 0
        self._acknowledged = asyncio.Condition()
        self._left = 0
        self.nacked = 0

    async def send(self, first: int, count: int) -> float:
        """Stream messages and return the seconds until all are acknowledged."""
        starts = range(first, first + count, LARGEST_BATCH)
        answers = [self._answer(range(n, min(n + LARGEST_BATCH, first + count))) for n in starts]
        self._left = count
        began = time.perf_counter()
        for answer in answers:
            self._ready.put_nowait(answer)
        async with self._acknowledged:
            await self._acknowledged.wait_for(lambda: not self._left)
        return time.perf_counter() - began

    async def streaming_pull(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        """Send the answers that are ready while fewer messages are outstanding than the client allows."""
        most = wire.StreamingPullRequest.FromString(await anext(requests)).max_outstanding_messages
        while True:
            size, answer = await self._ready.get()
            async with self._acknowledged:
                await self._acknowledged.wait_for(lambda size=size: self._outstanding + size <= most)  # type: ignore[misc]  # mypy cannot infer the type of a lambda's default
            self._outstanding += size
            yield answer

    async def acknowledge(self, request: bytes, _: Any) -> bytes:
        """Count acknowledgements."""
        count = len(wire.AcknowledgeRequest.FromString(request).ack_ids)
        self._outstanding -= count
        self._left -= count
        async with self._acknowledged:
            self._acknowledged.notify_all()
        return _EMPTY

    async def modify_ack_deadline(self, request: bytes, _: Any) -> bytes:
        """Count nacks."""
        modified = wire.ModifyAckDeadlineRequest.FromString(request)
        self.nacked += 0 if modified.ack_deadline_seconds else len(modified.ack_ids)
        return _EMPTY

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the gRPC handler, which leaves messages serialized."""
        unary = grpc.unary_unary_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                "StreamingPull": grpc.stream_stream_rpc_method_handler(self.streaming_pull),
                "Acknowledge": unary(self.acknowledge),
                "ModifyAckDeadline": unary(self.modify_ack_deadline),
            },
        )

    def _answer(self, numbers: range) -> tuple[int, bytes]:
        received = [wire.ReceivedMessage(ack_id=_ack_id(n), message=self._message(n)) for n in numbers]
        return len(numbers), wire.StreamingPullResponse(received_messages=received).SerializeToString()

    def _message(self, number: int) -> Any:
        pushed = decode_envelope(self._requests[number].partition(b"\r\n\r\n")[2])
        message = wire.PubsubMessage(data=pushed.data, message_id=pushed.message_id)
        message.publish_time.seconds = int(END.timestamp())
        return message


def _ack_id(number: int) -> str:
    """Return an id as long as those of Pub/Sub."""
    return f"{number:0176d}"


def rest(stub: SubscriberStub) -> Starlette:
    """Return the REST application."""

    async def send(request: Request) -> JSONResponse:
        first, count = (int(request.query_params[name]) for name in ("first", "count"))
        return JSONResponse({"seconds": await stub.send(first, count), "nacked": stub.nacked})

    return Starlette(routes=[Route("/send", send, methods=["POST"])])


class _Announced(uvicorn.Server):
    """A server that says so once it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        sys.stdout.write(json.dumps({"ready": True}) + "\n")
        sys.stdout.flush()


async def serve(requests: Path, grpc_port: int, rest_port: int) -> None:
    """Serve until SIGTERM."""
    stub = SubscriberStub(Requests(requests))
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((stub.handler(),))
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await server.start()
    config = uvicorn.Config(rest(stub), port=rest_port, log_level="error", access_log=False, lifespan="off")
    await _Announced(config).serve()
    await server.stop(None)


def main() -> None:
    """Read the ports and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.pull.stub", description=__doc__.partition("\n")[0]
    )
    add = parser.add_argument
    add("--requests", type=Path, required=True, help="file of prepared requests of push")
    add("--grpc-port", type=int, required=True)
    add("--rest-port", type=int, required=True)
    options = parser.parse_args()
    uvloop.run(serve(options.requests, options.grpc_port, options.rest_port))


if __name__ == "__main__":
    main()
