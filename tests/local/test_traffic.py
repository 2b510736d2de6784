"""Traffic on demand: simulated events that happen now."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local import home as homes
from infra.local import query, traffic
from infra.local.simulator import SimulationConfig, simulate
from infra.local.traffic import moved, stream
from shared.contract.feedback import decode_feedback
from shared.contract.outcome import decode_outcome
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.contract.transaction import decode_transaction

END = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
NOW = dt.datetime(2027, 2, 3, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    config = SimulationConfig(end=END, transactions=2_000, days=20, seed=3, fraud_rate=0.05, labels_until=END)
    return list(simulate(config))


@pytest.fixture(scope="module")
def messages(lines: list[bytes]) -> list[tuple[str, dict[str, Any]]]:
    clock = (NOW + dt.timedelta(seconds=second) for second in itertools.count())
    return list(moved(iter(lines), lambda: next(clock)))


def _transactions(messages: list[tuple[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    return (message for topic, message in messages if topic == TRANSACTIONS)


def test_every_event_is_of_the_contract_and_happens_now(messages: list[tuple[str, dict[str, Any]]]) -> None:
    for second, (topic, message) in enumerate(messages):
        data = json.dumps(message).encode()
        if topic == TRANSACTIONS:
            pix = decode_transaction(data).value
            at, minute = pix.initiated_at, pix.end_to_end_id[9:21]
            assert minute == f"{at:%Y%m%d%H%M}"
        elif topic == OUTCOMES:
            at = decode_outcome(data).value.at
        else:
            at = decode_feedback(data).value.reported_at
        assert at == NOW + dt.timedelta(seconds=second)


def test_reports_follow_the_pix_that_they_name(messages: list[tuple[str, dict[str, Any]]]) -> None:
    seen = set()
    reports = 0
    for topic, message in messages:
        if topic == TRANSACTIONS:
            seen.add(message["end_to_end_id"])
        elif topic == FEEDBACK:
            reports += 1
            if "end_to_end_id" in message:
                assert message["end_to_end_id"] in seen
    assert reports > 20


def test_accounts_and_devices_are_as_old_as_in_the_simulation(
    lines: list[bytes], messages: list[tuple[str, dict[str, Any]]]
) -> None:
    simulated = [json.loads(line)["data"] for line in lines if json.loads(line)["topic"] == TRANSACTIONS]
    compared = 0
    for before, after in zip(simulated, _transactions(messages), strict=True):
        assert before["payer"]["tax_id"] == after["payer"]["tax_id"]
        assert _age(before, "payer", "opened_at") == _age(after, "payer", "opened_at")
        if (before.get("device") or {}).get("registered_at"):
            compared += 1
            assert _moment(before, "device", "registered_at") == _moment(after, "device", "registered_at")
    assert compared > 100


def _age(pix: dict[str, Any], holder: str, field: str) -> dt.timedelta:
    local = dt.datetime.fromisoformat(pix["initiated_at"]) - dt.timedelta(hours=3)
    return local.date() - dt.date.fromisoformat(pix[holder][field])


def _moment(pix: dict[str, Any], holder: str, field: str) -> dt.timedelta:
    return dt.datetime.fromisoformat(pix["initiated_at"]) - dt.datetime.fromisoformat(pix[holder][field])


def test_frauds_are_known_under_their_new_ids_before_their_pix_are_published() -> None:
    frauds: dict[str, str] = {}
    clock = (NOW + dt.timedelta(seconds=second) for second in itertools.count())
    told: set[str] = set()
    for topic, message in itertools.islice(stream(1.0, 3, frauds, lambda: next(clock)), 2_000):
        if topic == TRANSACTIONS:
            told.add(message["end_to_end_id"])
            assert frauds.keys() <= told
    assert len(frauds) > 5


@pytest.mark.usefixtures("restored_process")
@pytest.mark.parametrize(
    ("command", "arguments"), [(traffic.main, []), (query.main, ["SELECT 1"])], ids=["traffic", "query"]
)
def test_where_nothing_runs_one_line_names_the_remedy(
    command: Any, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([*arguments, "--home", str(tmp_path / "world")]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "nothing runs here. Start `make up`" in line


@pytest.mark.usefixtures("restored_process")
def test_a_demo_that_runs_is_not_a_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with homes.claimed(tmp_path / "world", "make demo"):
        assert traffic.main(["--home", str(tmp_path / "world")]) == 1
    assert "(make demo) is not ready, or is not `make up`" in capsys.readouterr().out
