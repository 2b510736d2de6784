"""The messages of a subscriber are those of Google's library, byte for byte."""

import datetime as dt

from google.pubsub_v1 import types
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.pubsub import wire

SECONDS = st.integers(0, 7_000_000_000)
INT32, INT64 = st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1)
IDS = st.lists(st.text(max_size=20), max_size=5)


@given(st.text(), INT32, st.text(), INT64, INT64)
def test_a_stream_opens_with_the_bytes_of_the_library(
    name: str, seconds: int, client: str, messages: int, size: int
) -> None:
    fields = {
        "subscription": name,
        "stream_ack_deadline_seconds": seconds,
        "client_id": client,
        "max_outstanding_messages": messages,
        "max_outstanding_bytes": size,
    }
    theirs = types.StreamingPullRequest.serialize(types.StreamingPullRequest(**fields))
    assert wire.StreamingPullRequest(**fields).SerializeToString() == theirs


@given(st.text(), IDS, INT32)
def test_settlements_have_the_bytes_of_the_library(name: str, ids: list[str], seconds: int) -> None:
    acknowledged = {"subscription": name, "ack_ids": ids}
    theirs = types.AcknowledgeRequest.serialize(types.AcknowledgeRequest(**acknowledged))
    assert wire.AcknowledgeRequest(**acknowledged).SerializeToString() == theirs
    extended = {**acknowledged, "ack_deadline_seconds": seconds}
    theirs = types.ModifyAckDeadlineRequest.serialize(types.ModifyAckDeadlineRequest(**extended))
    assert wire.ModifyAckDeadlineRequest(**extended).SerializeToString() == theirs


@given(st.text(), st.lists(st.binary(min_size=1), max_size=3), st.dictionaries(st.text(), st.text(), max_size=1))
def test_a_publication_is_read_as_that_of_the_library(
    topic: str, data: list[bytes], attributes: dict[str, str]
) -> None:
    ours = wire.PublishRequest(topic=topic)
    for each in data:
        message = ours.messages.add(data=each)
        for key, value in attributes.items():
            message.attributes.add(key=key, value=value)
    messages = [types.PubsubMessage(data=each, attributes=attributes) for each in data]
    theirs = types.PublishRequest.serialize(types.PublishRequest(topic=topic, messages=messages))
    assert types.PublishRequest.deserialize(ours.SerializeToString()) == types.PublishRequest.deserialize(theirs)


@given(st.binary(), st.text(), SECONDS, st.text())
def test_a_message_is_read_as_the_library_reads_it(data: bytes, id_: str, at: int, ack_id: str) -> None:
    message = types.PubsubMessage(
        data=data, message_id=id_, publish_time=dt.datetime.fromtimestamp(at, dt.UTC), attributes={"a": "b"}
    )
    received = types.ReceivedMessage(ack_id=ack_id, message=message, delivery_attempt=3)
    answer = types.StreamingPullResponse(received_messages=[received, received])
    ours = wire.StreamingPullResponse.FromString(types.StreamingPullResponse.serialize(answer))
    assert len(ours.received_messages) == 2
    (one, *_) = ours.received_messages
    assert (one.ack_id, one.message.data, one.message.message_id) == (ack_id, data, id_)
    assert (one.message.publish_time.seconds, one.delivery_attempt) == (at, 3)
