"""What a request can do wrong, each with the gRPC status that tells the client.

PubSubError
├── InvalidArgument     the request is ill-formed
├── NotFound            the topic or subscription does not exist
├── AlreadyExists       the topic or subscription exists
├── OutOfRange          a number is outside what the service allows
├── FailedPrecondition  the request does not fit the resource's present state
├── ResourceExhausted   the backlog is full; clients retry by themselves
└── Unimplemented       production has this feature, this server does not
"""

from __future__ import annotations

from typing import ClassVar

import grpc


class PubSubError(Exception):
    """Carry a message for the client and its gRPC status."""

    status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL


class InvalidArgument(PubSubError):
    """Say that the request is ill-formed."""

    status = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(PubSubError):
    """Say that the topic or subscription does not exist."""

    status = grpc.StatusCode.NOT_FOUND


class AlreadyExists(PubSubError):
    """Say that the topic or subscription exists."""

    status = grpc.StatusCode.ALREADY_EXISTS


class OutOfRange(PubSubError):
    """Say that a number is outside what the service allows."""

    status = grpc.StatusCode.OUT_OF_RANGE


class FailedPrecondition(PubSubError):
    """Say that the request does not fit the resource's present state."""

    status = grpc.StatusCode.FAILED_PRECONDITION


class ResourceExhausted(PubSubError):
    """Say that the backlog is full."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unimplemented(PubSubError):
    """Say that production has this feature and this server does not."""

    status = grpc.StatusCode.UNIMPLEMENTED
