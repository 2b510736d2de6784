"""The Handbook's stream converts to valid events with labels seven days late."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from infra.local.simulator.identity import check_digits
from shared.contract.feedback import decode_feedback
from shared.contract.transaction import decode_transaction
from tests.benchmarks.fdh_events import main


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """20 days, a transaction every 6 hours and two in one second; each ninth is fraud."""
    moments = pd.date_range("2018-06-25", periods=80, freq="6h").tolist() + [pd.Timestamp("2018-07-03")] * 2
    table = pd.DataFrame({"datetime": sorted(moments)}).astype("datetime64[s]")
    table["customer_id"] = (table.index % 7).astype("int16")
    table["terminal_id"] = (table.index % 11).astype("int16")
    table["amount_cents"] = (table.index * 37).astype("int32")
    table["fraud"] = table.index % 9 == 0
    path = tmp_path / "fdh.parquet"
    table.to_parquet(path)
    return path


def _run(parquet: Path, *options: str) -> list[dict[str, Any]]:
    out = parquet.with_name("events.ndjson")
    assert main(["--data", str(parquet), "--from", "2018-06-25", "--out", str(out), *options]) == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


def _data(events: list[dict[str, Any]], topic: str) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["topic"] == topic]


def test_every_event_keeps_the_contract(parquet: Path) -> None:
    events = _run(parquet, "--days", "20")
    decoders: dict[str, Callable[[bytes], Any]] = {
        "pix-transactions": decode_transaction,
        "pix-feedback": decode_feedback,
    }
    decoded = [decoders[event["topic"]](msgspec.json.encode(event["data"])) for event in events]
    assert {d.unknown_fields for d in decoded} == {0}
    transactions = _data(events, "pix-transactions")
    assert len({tx["end_to_end_id"] for tx in transactions}) == len(transactions) == 82
    for tx in transactions:
        assert tx["end_to_end_id"][9:21] == datetime.fromisoformat(tx["initiated_at"]).strftime("%Y%m%d%H%M")
        assert check_digits(tx["payer"]["tax_id"][:9]) == tx["payer"]["tax_id"][9:]


def test_only_the_requested_days_are_written_in_time_order(parquet: Path) -> None:
    events = _run(parquet, "--days", "10")
    moments = [event["data"].get("initiated_at") or event["data"]["reported_at"] for event in events]
    assert moments == sorted(moments)
    days = {tx["initiated_at"][:10] for tx in _data(events, "pix-transactions")}
    assert (min(days), max(days)) == ("2018-06-25", "2018-07-04")


def test_every_label_comes_seven_days_later(parquet: Path) -> None:
    events = _run(parquet, "--days", "20")
    initiated = {tx["end_to_end_id"]: tx["initiated_at"] for tx in _data(events, "pix-transactions")}
    feedback = _data(events, "pix-feedback")
    assert len(feedback) == len(initiated)
    for report in feedback:
        delay = datetime.fromisoformat(report["reported_at"]) - datetime.fromisoformat(
            initiated[report["end_to_end_id"]]
        )
        assert delay == timedelta(days=7)
    frauds = [report for report in feedback if report["source"] == "MED"]
    assert {(report["status"], report["analysis_result"]) for report in frauds} == {("CLOSED", "AGREED")}
    assert {report["end_to_end_id"] for report in frauds} == set(list(initiated)[::9])


def test_verdicts_on_legitimate_transactions_are_optional(parquet: Path) -> None:
    feedback = _data(_run(parquet, "--days", "20", "--no-legitimate-verdicts"), "pix-feedback")
    assert {report["source"] for report in feedback} == {"MED"}


@pytest.mark.parametrize(
    ("columns", "days", "reason"),
    [(["datetime"], "2018-06-25", "columns"), (None, "2019-01-01", "no transaction in 14 days")],
)
def test_unusable_input_is_explained(
    parquet: Path, capsys: pytest.CaptureFixture[str], columns: list[str] | None, days: str, reason: str
) -> None:
    pd.read_parquet(parquet, columns=columns).to_parquet(parquet)
    out = str(parquet.with_name("events.ndjson"))
    assert main(["--data", str(parquet), "--from", days, "--out", out]) == 1
    assert reason in capsys.readouterr().err.replace("\n", " ")


def test_a_missing_or_invalid_file_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("no parquet")
    for name, reason in (("none", "does not exist"), ("text", "is not a Parquet file")):
        assert main(["--data", str(tmp_path / name), "--from", "2018-07-01", "--out", str(tmp_path / "o")]) == 1
        assert reason in capsys.readouterr().err.replace("\n", " ")
