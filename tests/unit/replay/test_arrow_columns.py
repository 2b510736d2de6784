"""Facts from Arrow are the facts from events, to the bit."""

import io
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.event import Event
from shared.contract.fields import AccountType, InitiationForm, KeyType, Purpose
from shared.contract.tables import table
from shared.features.columns import Columns
from shared.replay.arrow_columns import columns_of
from shared.replay.arrow_rows import arrow_table
from tests.unit.replay.rows import score_row
from tests.unit.streams import event, pseudonym

STATISTICS = '{"watermark":"2026-11-18T00:00:00Z","settlements":{"d90":3,"m12":9,"m60":20},"registered_accounts":2}'
days = st.none() | st.integers(-30_000, 40_000)
micros = st.integers(-(10**15), 4 * 10**15)
ids = st.sampled_from([pseudonym(name) for name in "abc"])
ispbs = st.sampled_from(["12345678", "87654321"])
accounts = st.none() | st.sampled_from([kind.value for kind in AccountType])
events = st.builds(
    event,
    payer=ids,
    payee=ids,
    amount=st.integers(1, 10**15),
    initiated_at=micros,
    initiation_form=st.sampled_from([form.value for form in InitiationForm]),
    purpose=st.sampled_from([purpose.value for purpose in Purpose]),
    payer_person_id=ids,
    payer_ispb=ispbs,
    payee_ispb=ispbs,
    payer_account_type=accounts,
    payer_opened_at=days,
    payee_person_id=st.none() | ids,
    payee_account_type=accounts,
    payee_opened_at=days,
    payee_key_type=st.none() | st.sampled_from([kind.value for kind in KeyType]),
    payee_key_owned_since=days,
    device_id=st.none() | ids,
    device_registered=st.none() | st.booleans(),
    device_registered_at=st.none() | micros,
    payee_statistics=st.none() | st.sampled_from([STATISTICS, '{"registered_accounts":1}']),
)


def stored(events: list[Event]) -> pa.Table:
    """Return the events as rows that went through Parquet."""
    file = io.BytesIO()
    pq.write_table(arrow_table(table("score_events"), [score_row(each) for each in events]), file)
    return pq.read_table(file)


def assert_equal(found: Columns, expected: Columns) -> None:
    for name in (each.name for each in fields(Columns)):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(expected, name).dtype


@settings(deadline=None)
@given(st.lists(events, min_size=1, max_size=8), st.integers(1, 3))
def test_facts_of_stored_rows_equal_those_of_their_events(several: list[Event], size: int) -> None:
    rows = stored(several)
    assert_equal(columns_of(rows), Columns.of(several))
    for k, batch in enumerate(rows.to_batches(max_chunksize=size)):
        assert_equal(columns_of(batch), Columns.of(several[k * size : (k + 1) * size]))


def test_no_rows_have_no_facts() -> None:
    assert len(columns_of(stored([event()]).slice(0, 0))) == 0
