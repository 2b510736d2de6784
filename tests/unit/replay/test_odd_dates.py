"""Rows with times that are no longer accepted can be read, with the features that were stored."""

import datetime as dt
import io
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.contract.event import Event, days, micros
from shared.contract.mapping import event_of
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.tables import table
from shared.contract.transaction import decode_transaction
from shared.features.columns import Columns
from shared.features.history import MemoryHistory
from shared.features.layout import READ_WIDTH
from shared.features.state import State
from shared.features.vector import feature_matrix
from shared.replay.arrow_columns import columns_of
from shared.replay.arrow_rows import arrow_table
from shared.replay.audit import Audit
from shared.replay.changes import ChangeQueue
from shared.replay.reports import ReportQueue
from shared.replay.scored_rows import ScoredRows
from shared.scoring.rules import Condition, Rules
from tests.builders import encoded, transaction
from tests.unit.replay.rows import score_row
from tests.unit.served import placed_table
from tests.unit.streams import event

ZERO, LAST = dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)


def stored(events: Sequence[Event]) -> pa.Table:
    """Return the events as rows that went through Parquet."""
    file = io.BytesIO()
    pq.write_table(arrow_table(table("score_events"), [score_row(each) for each in events]), file)
    return pq.read_table(file)


def features(columns: Columns) -> Any:
    """Return the features of messages without history."""
    return feature_matrix(columns, np.full((len(columns), READ_WIDTH), np.nan, dtype=np.float32))


@pytest.mark.parametrize("at", [ZERO, LAST])
def test_a_stored_time_at_an_end_of_the_calendar_yields_the_stored_features(at: dt.datetime) -> None:
    date = days(at.date())
    odd = event(device_registered=True, device_registered_at=micros(at), payer_opened_at=date, payee_opened_at=date)
    rows = stored([odd, event()])
    np.testing.assert_array_equal(features(columns_of(rows)), features(Columns.of([odd, event()])))


def test_a_replayed_hold_of_a_pix_that_was_due_before_it_was_initiated_counts_from_then() -> None:
    at = micros(dt.datetime(2026, 11, 20, 15, tzinfo=dt.UTC))
    asked = [event(initiated_at=at, scheduled_for=due) for due in (None, at - 10**12, at + 10**9)]
    rows = stored(asked)
    rows = rows.drop_columns([name for name in rows.column_names if name not in event().__struct_fields__])
    every = Rules([msgspec.structs.replace(Rules.load().rules[2], scope=[], when=[Condition("amount", ">", 0)])])
    reads = np.full((3, READ_WIDTH), np.nan, dtype=np.float32)
    held = ScoredRows(every, 1).of(rows, columns_of(rows), reads)["hold_until"].cast(pa.int64()).to_pylist()
    assert [each - at for each in held] == [30 * 60 * 10**6] * 2 + [30 * 60 * 10**6 + 10**9]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"])
def test_a_message_with_such_times_is_stored_with_missing_ones(at: str) -> None:
    message = transaction(
        device__registered_at=at, payer__opened_at=at[:10], payee__opened_at=at[:10], payee__key_owned_since=at[:10]
    )
    found = event_of(decode_transaction(encoded(message)).value, Pseudonymiser(b"secret"))
    columns = columns_of(stored([found]))
    for name in ("device_registered_at", "payer_opened", "payee_opened", "key_owned_since"):
        assert np.isnan(getattr(columns, name)).all(), name
    np.testing.assert_array_equal(features(columns), features(Columns.of([found])))


@pytest.mark.parametrize("at", [ZERO, LAST])
def test_an_audit_of_stored_rows_with_such_times_finds_no_difference(at: dt.datetime) -> None:
    history, rows = MemoryHistory(), []
    for second in range(5):
        one = event(seconds=second, device_registered=True, device_registered_at=micros(at))
        reads, sequence = history.observe([one])
        rows.append(score_row(one, int(sequence[0]), feature_matrix(Columns.of([one]), reads)[0]))
    work = Audit(State.empty(), ReportQueue([]), ChangeQueue())
    work.add(placed_table(rows), lambda scored_at: np.ones(len(scored_at), dtype=bool))
    assert (work.comparison.rows, work.comparison.features) == (5, {})
