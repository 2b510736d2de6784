"""Encoded rows decode to their values, and missing values stay missing."""

import math
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shared.adapters.bigquery.encoding import RowEncoder
from shared.contract.event import Event
from shared.contract.rows import FeedbackRow, ScoreRow
from shared.contract.tables import feature_columns, table

EVENT = Event("E1", 1_700_000_000_000_000, 15005, "DICT", "IPAY", "a", "b", "c", "d", "e", payer_opened_at=19000)


def decoded(encoder: RowEncoder, data: bytes) -> dict[str, Any]:
    """Parse a row by its descriptor, as the server does."""
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto2")
    file.message_type.append(encoder.descriptor)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{encoder.descriptor.name}"))()
    message.ParseFromString(data)
    return {field.name: value for field, value in message.ListFields()}


def score_row(features: list[float]) -> ScoreRow:
    return ScoreRow(
        event=EVENT,
        scored_at=1_700_000_000_000_001,
        score=0.25,
        decision="HOLD",
        reasons=["A", "B"],
        reason_contributions=[0.0, 1.25],
        model_version=None,
        late=False,
        degraded=True,
        hmac_key_version=1,
        history_sequence=7,
        decided_sequence=None,
        visited=(9, 11),
        decided_visited=(),
        policy_decision="REJECT",
        control_probability=0.03,
        hold_until=1_700_000_600_000_000,
        published_at=None,
        delivery_attempt=None,
        claim_number=1,
        place_pending=False,
        features=np.array(features, dtype=np.float32),
    )


FEATURES = arrays(np.float32, len(feature_columns()), elements=st.floats(width=32)).map(np.ndarray.tolist)


@given(FEATURES)
def test_features_arrive_and_nan_is_left_out(features: list[float]) -> None:
    encoder = RowEncoder(table("score_events"))
    row = decoded(encoder, *encoder.encode([score_row(features)]))
    expected = {n: f for n, f in zip(feature_columns(), features, strict=True) if not math.isnan(f)}
    assert {name: value for name, value in row.items() if name.startswith("f_")} == expected


@given(st.lists(FEATURES, max_size=4))
def test_rows_encoded_together_equal_rows_encoded_alone(vectors: list[list[float]]) -> None:
    encoder, rows = RowEncoder(table("score_events")), [score_row(features) for features in vectors]
    assert encoder.encode(rows) == [alone for row in rows for alone in encoder.encode([row])]


def test_a_vector_of_another_width_is_refused() -> None:
    """Its values would be laid out under the names of others."""
    encoder, width = RowEncoder(table("score_events")), len(feature_columns())
    with pytest.raises(ValueError, match="reshape"):
        encoder.encode([score_row([0.0] * width), score_row([0.0] * (width - 1))])


def test_columns_arrive_in_the_types_of_the_storage_write_api() -> None:
    encoder = RowEncoder(table("score_events"))
    row = decoded(encoder, *encoder.encode([score_row([math.nan] * len(feature_columns()))]))
    assert row["amount"] == "150.05"
    assert row["initiated_at"] == 1_700_000_000_000_000
    assert row["payer_opened_at"] == 19000
    assert row["reasons"] == ["A", "B"]
    assert row["reason_contributions"] == [0.0, 1.25]
    assert row["late"] is False
    assert row["visited"] == [9, 11]
    assert row["hold_until"] == 1_700_000_600_000_000
    assert (row["policy_decision"], row["control_probability"]) == ("REJECT", 0.03)
    assert "model_version" not in row
    assert "decided_sequence" not in row
    assert "published_at" not in row


def test_every_required_column_is_always_sent() -> None:
    """The emulator would take a row without them; BigQuery does not."""
    for row in (score_row([math.nan] * len(feature_columns())), FeedbackRow("MED", "r", "E1", 1, 2, "FRAUD")):
        spec = table("score_events" if isinstance(row, ScoreRow) else "feedback")
        encoder = RowEncoder(spec)
        required = {column.name for column in spec.schema if column.mode == "REQUIRED"}
        assert required <= set(decoded(encoder, *encoder.encode([row])))


def test_no_row_has_a_field_without_a_column() -> None:
    for name, row in (("score_events", score_row([])), ("feedback", FeedbackRow("MED", "r", "E1", 1, 2, "FRAUD"))):
        assert set(row.columns()) <= {column.name for column in table(name).schema}
