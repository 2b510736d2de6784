"""Errors of a request, one for each gRPC status, and named like it.

PubSubError
├── InvalidArgument     the request is malformed
├── NotFound            the topic or subscription does not exist
├── AlreadyExists       the topic or subscription exists
├── OutOfRange          a number is outside the limits of the service
├── FailedPrecondition  the resource is in the wrong state for the request
├── ResourceExhausted   the backlogs are full; clients retry on their own
└── Unimplemented       production has this feature, this server does not
"""

from __future__ import annotations

from typing import ClassVar

import grpc


class PubSubError(Exception):
    """An error whose text and gRPC status are sent to the client."""

    status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL


class InvalidArgument(PubSubError):
    """The request is malformed."""

    status = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(PubSubError):
    """The topic or subscription does not exist."""

    status = grpc.StatusCode.NOT_FOUND


class AlreadyExists(PubSubError):
    """The topic or subscription exists."""

    status = grpc.StatusCode.ALREADY_EXISTS


class OutOfRange(PubSubError):
    """A number is outside the limits of the service."""

    status = grpc.StatusCode.OUT_OF_RANGE


class FailedPrecondition(PubSubError):
    """The resource is in the wrong state for the request."""

    status = grpc.StatusCode.FAILED_PRECONDITION


class ResourceExhausted(PubSubError):
    """The backlogs are full."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unimplemented(PubSubError):
    """Production has this feature and this server does not."""

    status = grpc.StatusCode.UNIMPLEMENTED
