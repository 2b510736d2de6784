"""Rows for the Storage Write API, from plain dicts."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grpc
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.waiting import PATIENCE

Field = descriptor_pb2.FieldDescriptorProto


class Writer:
    """Appends rows to one table by its default stream; `fields` is column -> (protobuf type, repeated)."""

    def __init__(self, endpoint: str, table: str, fields: Mapping[str, tuple[int, bool]]) -> None:
        self._channel = grpc.insecure_channel(endpoint)
        self._client = BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=self._channel))
        self._stream = f"{table}/streams/_default"
        self._descriptor = describe(fields)
        self._message = message_class(self._descriptor)

    def append(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Append, wait for the answer and return its error, which is empty if the rows are stored."""
        [answer] = self._client.append_rows(iter([self._request(rows)]), timeout=PATIENCE)
        return str(answer.error.message)

    def append_and_stay(self, rows: Sequence[Mapping[str, Any]], until: threading.Event) -> str:
        """Append, wait for the answer and return its error; the stream stays open until the event is set."""

        def requests() -> Iterator[types.AppendRowsRequest]:
            yield self._request(rows)
            until.wait()

        return str(next(iter(self._client.append_rows(requests(), timeout=PATIENCE))).error.message)

    def _request(self, rows: Sequence[Mapping[str, Any]]) -> types.AppendRowsRequest:
        data = types.AppendRowsRequest.ProtoData(
            writer_schema=types.ProtoSchema(proto_descriptor=self._descriptor),
            rows=types.ProtoRows(serialized_rows=[self._message(**row).SerializeToString() for row in rows]),
        )
        return types.AppendRowsRequest(write_stream=self._stream, proto_rows=data)

    def close(self) -> None:
        self._channel.close()


def describe(fields: Mapping[str, tuple[int, bool]]) -> descriptor_pb2.DescriptorProto:
    descriptor = descriptor_pb2.DescriptorProto(name="Row")
    for number, (name, (kind, repeated)) in enumerate(fields.items(), 1):
        label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
        descriptor.field.add(name=name, number=number, type=kind, label=label)
    return descriptor


def message_class(descriptor: descriptor_pb2.DescriptorProto) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="row.proto", syntax="proto2")
    file.message_type.add().CopyFrom(descriptor)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Row"))
