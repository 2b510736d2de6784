"""The gRPC server of both services."""

from __future__ import annotations

import grpc
import grpc.aio

from infra.local.pubsub.broker import Broker
from infra.local.pubsub.publisher import PublisherService
from infra.local.pubsub.subscriber import SubscriberService

_OPTIONS = [
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    ("grpc.max_send_message_length", 32 * 1024 * 1024),
    ("grpc.so_reuseport", 0),  # a port in use is an error, not a second server on it
]


class AddressInUse(Exception):
    """Another process listens on the address."""


class EmbeddedPubSub:
    """A server of google.pubsub.v1 on one port, started and stopped inside a running event loop."""

    def __init__(self, host: str, port: int, memory_bytes: int) -> None:
        self._broker = Broker(memory_bytes)
        self._server = grpc.aio.server(options=_OPTIONS)
        for service in (PublisherService(self._broker), SubscriberService(self._broker)):
            handler = grpc.method_handlers_generic_handler(service.NAME, service.handlers())
            self._server.add_generic_rpc_handlers((handler,))
        self._address = f"{host}:{port}"

    async def start(self) -> int:
        """Listen, and return the port; raises AddressInUse."""
        try:
            port = self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise AddressInUse(f"Cannot listen on {self._address}: is it in use? Choose another --port.") from error
        await self._server.start()
        return int(port)

    async def stop(self) -> None:
        """Stop delivering, then close the connections."""
        self._broker.close()
        await self._server.stop(grace=0.5)
