"""The gRPC server that carries both services."""

from __future__ import annotations

import grpc
import grpc.aio

from infra.local.pubsub.broker import Broker
from infra.local.pubsub.publisher import Publisher
from infra.local.pubsub.subscriber import Subscriber

_OPTIONS = [
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    ("grpc.max_send_message_length", 32 * 1024 * 1024),
    ("grpc.so_reuseport", 0),  # a port in use is an error, not a second server on it
]


class PortTaken(Exception):
    """Say that the address cannot be listened on."""


class Server:
    """Serve google.pubsub.v1 on one port; start and stop inside a running event loop."""

    def __init__(self, host: str, port: int, memory_bytes: int) -> None:
        self._broker = Broker(memory_bytes)
        self._server = grpc.aio.server(options=_OPTIONS)
        for service in (Publisher(self._broker), Subscriber(self._broker)):
            name = f"google.pubsub.v1.{type(service).__name__}"
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, service.handlers()),))
        self._address = f"{host}:{port}"

    async def start(self) -> int:
        """Listen, and return the port; raises PortTaken."""
        try:
            port = self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise PortTaken(f"Cannot listen on {self._address}: is it in use? Choose another --port.") from error
        await self._server.start()
        return int(port)

    async def stop(self) -> None:
        """Stop delivering, then close the connections."""
        self._broker.close()
        await self._server.stop(grace=0.5)
