"""Plain methods as gRPC handlers; the package google-cloud-pubsub has no servicers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc
import grpc.aio

from infra.local.pubsub.errors import InvalidArgument, PubSubError

DEFAULT_PAGE = 100


def unary(method: Callable[[Any], Any], request_type: Any) -> grpc.RpcMethodHandler:
    """Return the handler of a unary call from a function of the request. PubSubError becomes its gRPC status."""

    async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return method(request)
        except PubSubError as error:
            await context.abort(error.status, str(error))

    return grpc.unary_unary_rpc_method_handler(handle, request_type.FromString, _serialize)


def unary_waiting(
    method: Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]], request_type: Any
) -> grpc.RpcMethodHandler:
    """Return the handler of a unary call that may wait, from a coroutine function of request and context."""

    async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await method(request, context)
        except PubSubError as error:
            await context.abort(error.status, str(error))

    return grpc.unary_unary_rpc_method_handler(handle, request_type.FromString, _serialize)


def stream(
    method: Callable[[grpc.aio.ServicerContext[Any, Any]], Awaitable[None]], request_type: Any
) -> grpc.RpcMethodHandler:
    """Return the handler of a bidirectional stream, from a coroutine function that reads and writes the context."""

    async def handle(_requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        try:
            await method(context)
        except PubSubError as error:
            await context.abort(error.status, str(error))

    return grpc.stream_stream_rpc_method_handler(handle, request_type.FromString, _serialize)


def page(names: Iterable[str], size: int, token: str) -> tuple[list[str], str]:
    """Return one page of sorted names and the token of the next page; raises InvalidArgument.

    >>> page(["b", "a", "c"], 2, "")
    (['a', 'b'], 'c')
    """
    if size < 0:
        raise InvalidArgument("page_size is negative.")
    rest = [name for name in sorted(names) if name >= token]
    size = size or DEFAULT_PAGE
    return rest[:size], rest[size] if len(rest) > size else ""


def _serialize(message: Any) -> bytes:
    serialized: bytes = message.SerializeToString()
    return serialized
