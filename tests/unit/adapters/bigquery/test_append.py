"""The messages of AppendRows are those of Google's library, byte for byte."""

from google.cloud.bigquery_storage_v1 import types
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.bigquery.append import AppendRowsRequest, AppendRowsResponse

DESCRIPTOR = descriptor_pb2.DescriptorProto(
    name="row", field=[descriptor_pb2.FieldDescriptorProto(name="a", number=1, type=9, label=1)]
)
INT32 = st.integers(-(2**31), 2**31 - 1)


@given(st.text(), st.lists(st.binary()), st.booleans())
def test_a_request_has_the_bytes_of_the_library(stream: str, rows: list[bytes], first: bool) -> None:
    ours = AppendRowsRequest(
        write_stream=stream,
        proto_rows={
            "writer_schema": {"proto_descriptor": DESCRIPTOR} if first else None,
            "rows": {"serialized_rows": rows},
        },
    )
    theirs = types.AppendRowsRequest(
        write_stream=stream,
        proto_rows=types.AppendRowsRequest.ProtoData(
            writer_schema=types.ProtoSchema(proto_descriptor=DESCRIPTOR) if first else None,
            rows=types.ProtoRows(serialized_rows=rows),
        ),
    )
    assert ours.SerializeToString() == types.AppendRowsRequest.serialize(theirs)


@given(INT32, st.text(), st.lists(st.tuples(st.integers(0, 2**40), st.sampled_from((0, 1)), st.text())))
def test_an_answer_is_read_as_the_library_reads_it(
    code: int, message: str, errors: list[tuple[int, int, str]]
) -> None:
    answer = types.AppendRowsResponse(
        row_errors=[types.RowError(index=index, code=kind, message=text) for index, kind, text in errors],
        error={"code": code, "message": message},
    )
    ours = AppendRowsResponse.FromString(types.AppendRowsResponse.serialize(answer))
    assert (ours.error.code, ours.error.message) == (code, message)
    assert [(each.index, each.code, each.message) for each in ours.row_errors] == errors
