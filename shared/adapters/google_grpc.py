"""Google's services directly over gRPC, without the classes of its client libraries, which cost import and run time.

The bytes on the wire are the same; tests hold the messages that are declared here to those of the libraries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
_Field = descriptor_pb2.FieldDescriptorProto
STRING, BYTES, INT32, INT64 = _Field.TYPE_STRING, _Field.TYPE_BYTES, _Field.TYPE_INT32, _Field.TYPE_INT64


def message_classes(package: str, messages: Mapping[str, Mapping[str, tuple[int, Any]]]) -> dict[str, Any]:
    """Return the classes of messages by name, each given by the number and type of its fields.

    A type is a constant of this module, or the full name of a message with a leading dot; in a list it is repeated.

    >>> classes = message_classes("pix.example", {"Rows": {"rows": (1, [BYTES])}})
    >>> classes["Rows"](rows=[b"a"]).SerializeToString()
    b'\\n\\x01a'
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    file.dependency.append(descriptor_pb2.DESCRIPTOR.name)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add(message, field, number, kind)
    pool = descriptor_pool.Default()  # where DescriptorProto is
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages
    }


def channel(emulator: str, address: str, scope: str, *options: tuple[str, int]) -> grpc.aio.Channel:
    """Return a channel to an emulator, without TLS, or to Google's service with the default credentials.

    `options` are for Google's service, as an emulator may take keepalives for an attack. Needs a running event loop.
    Raises Misconfigured, Unavailable for credentials.
    """
    if emulator:
        return grpc.aio.insecure_channel(emulator, OPTIONS)
    return grpc.aio.secure_channel(address, _credentials(scope), (*OPTIONS, *options))


def _add(message: Any, name: str, number: int, kind: Any) -> None:
    label = _Field.LABEL_REPEATED if isinstance(kind, list) else _Field.LABEL_OPTIONAL
    each = kind[0] if isinstance(kind, list) else kind
    typed = {"type": _Field.TYPE_MESSAGE, "type_name": each} if isinstance(each, str) else {"type": each}
    message.field.add(name=name, number=number, label=label, **typed)


def _credentials(scope: str) -> grpc.ChannelCredentials:
    """Return credentials for TLS and a token of the service account in each call."""
    import google.auth
    from google.auth.transport.grpc import AuthMetadataPlugin
    from google.auth.transport.requests import Request

    from shared.adapters.google_failures import credentials_needed

    with credentials_needed():
        default, _ = google.auth.default(scopes=(scope,))
    calls = grpc.metadata_call_credentials(AuthMetadataPlugin(default, Request()))
    return grpc.composite_channel_credentials(grpc.ssl_channel_credentials(), calls)
