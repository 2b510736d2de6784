"""Every time of every message is malformed, missing, or within the years that tables, Arrow and a replay hold."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec import inspect

from jobs import replay
from shared.contract.event import EARLIEST, LATEST, Event, days, micros
from shared.contract.feedback import (
    AnalystReport,
    CustomerReport,
    FraudMarker,
    FundsRecovery,
    MedReport,
    RefundReport,
)
from shared.contract.outcome import PixOutcome
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.reading import Clock, read_outcome, read_report, read_transaction
from shared.contract.rows import Record
from shared.contract.tables import Column, table
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.contract.transaction import Transaction
from shared.errors import Malformed
from shared.features.columns import Columns
from shared.features.state import State
from shared.replay.arrow_columns import columns_of
from shared.replay.arrow_rows import arrow_table
from shared.replay.audit import Audit
from shared.replay.changes import ChangeQueue
from shared.replay.reports import ReportQueue
from tests.builders import encoded, med_report, outcome, transaction
from tests.unit.replay.rows import score_row
from tests.unit.replay.test_odd_dates import features
from tests.unit.served import placed_table

KEY = Pseudonymiser(b"secret")
NEVER_AHEAD = Clock(0, 1e18)
ID = "E12345678202611201432a1b2c3d4e5f"
ODD = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1677-09-21T00:12:43Z",
    "1899-12-31T23:59:59Z",
    "1970-01-01T00:00:00Z",
    "1999-12-31T23:59:59.999999Z",
    "2000-01-01T00:00:00+14:00",
    "2199-12-31T23:59:59-12:00",
    "2200-01-01T00:00:00Z",
    "2262-04-11T23:47:17Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-14:00",
]
FEEDBACK_TYPES = {
    MedReport: med_report(ID),
    AnalystReport: {"source": "ANALYST", "end_to_end_id": ID, "verdict": "FRAUD"},
    CustomerReport: {"source": "CUSTOMER", "end_to_end_id": ID, "status": "CONTESTED"},
    FraudMarker: {"source": "FRAUD_MARKER", "tax_id": "98765432100", "status": "REGISTERED"},
    RefundReport: {"source": "REFUND", "end_to_end_id": ID, "status": "OPEN"},
    FundsRecovery: {"source": "FUNDS_RECOVERY", "root_end_to_end_id": ID, "status": "CREATED"},
}
KINDS: dict[type, tuple[str, dict[str, Any]]] = {
    Transaction: (TRANSACTIONS, transaction(end_to_end_id=ID)),
    PixOutcome: (OUTCOMES, outcome(ID)),
    **{
        kind: (FEEDBACK, {"report_id": "r-1", "reported_at": "2026-11-22T10:00:00Z", **message})
        for kind, message in FEEDBACK_TYPES.items()
    },
}
TABLES = {TRANSACTIONS: "score_events", OUTCOMES: "outcomes", FEEDBACK: "feedback"}


def times(kind: inspect.Type) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield the path of each time and date in a type, and whether it is a date."""
    if isinstance(kind, inspect.Metadata):
        yield from times(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from times(each)
    elif isinstance(kind, inspect.ListType):
        yield from times(kind.item_type)
    elif isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield from (((field.encode_name, *path), is_date) for path, is_date in times(field.type))
    elif isinstance(kind, inspect.DateTimeType | inspect.DateType):
        yield (), isinstance(kind, inspect.DateType)


FIELDS = [(kind, path, is_date) for kind in KINDS for path, is_date in sorted(times(inspect.type_info(kind)))]


def message(kind: type, path: Sequence[str], value: str) -> tuple[str, dict[str, Any]]:
    """Return a message with one time at a value."""
    topic, plain = KINDS[kind]
    found = json.loads(json.dumps(plain))
    parent = found
    for name in path[:-1]:
        parent = parent.setdefault(name, {"mandate": "m-1"} if name == "automatic" else {})
    parent[path[-1]] = value
    return topic, found


def record(topic: str, data: bytes) -> Record | Malformed:
    """Return the row of a message, or the reason for which it has none."""
    try:
        if topic == TRANSACTIONS:
            return score_row(read_transaction(data, KEY, NEVER_AHEAD).record)
        if topic == OUTCOMES:
            return read_outcome(data, NEVER_AHEAD).record
        return read_report(data, KEY, NEVER_AHEAD).record
    except Malformed as error:
        return error


def stored(name: str, row: Record) -> pa.Table:
    """Return a row that went through Parquet."""
    file = io.BytesIO()
    pq.write_table(arrow_table(table(name), [row]), file)
    return pq.read_table(file)


def is_held(column: Column, value: int | None) -> bool:
    if value is None or column.name in ("received_at", "scored_at"):
        return True
    if column.type == "TIMESTAMP":
        return micros(EARLIEST) <= value < micros(LATEST)
    return column.type != "DATE" or days(dt.date(1900, 1, 1)) < value < days(LATEST.date())


def audited(row: Any) -> Audit:
    """Return the audit of one row of `score_events`, as `jobs.skew --all` does it."""
    audit = Audit(State.empty(), ReportQueue([]), ChangeQueue())
    audit.add(placed_table([row]), lambda at: np.ones(len(at), dtype=bool))
    return audit


def test_every_contract_has_times() -> None:
    assert {kind for kind, _, _ in FIELDS} == set(KINDS)
    assert (Transaction, ("payee_statistics", "watermark"), False) in FIELDS
    assert (Transaction, ("payee", "key_owned_since"), True) in FIELDS


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(
    ("kind", "path", "is_date"), FIELDS, ids=[f"{k.__name__}.{'.'.join(p)}" for k, p, _ in FIELDS]
)
def test_a_time_is_refused_or_missing_or_held(kind: type, path: tuple[str, ...], is_date: bool, value: str) -> None:
    topic, data = message(kind, path, value[:10] if is_date else value)
    row = record(topic, encoded(data))
    if isinstance(row, Malformed):
        assert row.field in (".".join(path), "end_to_end_id")
        return
    values, columns = row.columns(), table(TABLES[topic]).schema
    assert [column.name for column in columns if not is_held(column, values.get(column.name))] == []
    rows = stored(TABLES[topic], row)
    rows.to_pylist()
    if topic == TRANSACTIONS:
        event: Event = row.event  # type: ignore[union-attr, assignment] # a row of a Pix has one
        found, expected = features(columns_of(rows)), features(Columns.of([event]))
        np.testing.assert_array_equal(found, expected)
        assert np.isfinite(found[~np.isnan(found)]).all()
        assert audited(msgspec.structs.replace(row, features=found[0], history_sequence=1)).comparison.rows == 1


def test_files_of_such_times_are_replayed_and_their_rows_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line is a row, or counted; and the rows give the state of the file."""
    monkeypatch.setenv("PIX_HMAC_KEY", "a key of the tests that is long enough")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "pix-test")
    lines = [message(kind, path, value[:10] if is_date else value) for kind, path, is_date in FIELDS for value in ODD]
    for number, (topic, data) in enumerate(lines):
        if topic == TRANSACTIONS:
            data["end_to_end_id"] = f"{ID[:-6]}{number:06d}"
    file, rows = tmp_path / "events.ndjson", tmp_path / "rows"
    text = [
        json.dumps({"topic": topic, "data": data}) + "\n"
        for topic, data in [(TRANSACTIONS, KINDS[Transaction][1]), *lines]
    ]
    file.write_text("".join(text), "utf-8")
    assert replay.main([str(file), "--until", "2300-01-01", "--out", str(rows), "--state-out", f"{rows}.npz"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["transactions"] > 100
    assert replay.main([str(rows), "--out", str(tmp_path / "again"), "--state-out", f"{rows}-again.npz"]) == 0
    first, again = State.load(f"{rows}.npz"), State.load(f"{rows}-again.npz")
    for (keys, values), (others, known) in zip(first.tables, again.tables, strict=True):
        order, other_order = np.argsort(keys), np.argsort(others)
        np.testing.assert_array_equal(keys[order], others[other_order])
        np.testing.assert_allclose(values[order], known[other_order], rtol=1e-6)
