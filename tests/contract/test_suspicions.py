"""`jobs.suspicion` and the record by `jobs.packet` over a local BigQuery, as commands."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from infra.deploy.migrate import make
from jobs import packet, suspicion
from shared.adapters.bigquery.query import BigQueryQueries
from shared.adapters.bigquery.suspicions import rows_in_force
from shared.contract import tables as contract
from shared.contract.event import micros
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import SuspicionRow
from shared.scoring.rules import FiredRules
from shared.scoring.suspected_accounts import SuspectedAccounts
from shared.telemetry.metrics import Metrics
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.unit.desk.documents import section

Run = Callable[..., tuple[int, dict[str, Any]]]
KEY = "a key of the tests that is long enough"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("suspicions")
    with local_bigquery(state, state) as local:
        make(local.client, "pix", contract.tables(), contract.views(PROJECT, "pix", 87))
        yield local


@pytest.fixture
def run(local: LocalBigQuery, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a job; return its exit code and its result."""
    environment = {"GOOGLE_CLOUD_PROJECT": PROJECT, "PIX_HMAC_KEY": KEY, **local.server.addresses}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def job(module: ModuleType, *arguments: str) -> tuple[int, dict[str, Any]]:
        code = module.main(list(arguments))
        return code, json.loads(capsys.readouterr().out)

    return job


def opened(run: Run, account: str) -> dict[str, Any]:
    documents = ["--by", "ana@bank.example", "--document", "REPORT:r-1", "--document", "MARKER:m-1"]
    code, found = run(suspicion, "open", account, "--days", "30", "--found", "three reports", *documents)
    assert (code, found["outcome"], found["standing"]) == (0, "OPENED", "IN_FORCE")
    assert found["documents"] == ["REPORT:r-1", "MARKER:m-1"]
    return found


def test_a_suspicion_is_opened_extended_listed_and_lifted(run: Run) -> None:
    account = "1" * 32
    first = opened(run, account)
    extended = run(suspicion, "extend", account, "--days", "60", "--found", "a fourth report")[1]
    assert extended["expires_at"] > first["expires_at"]
    assert run(suspicion, "lift", account, "--found", "taken back")[1]["standing"] == "LIFTED"
    (listed,) = run(suspicion, "list", "--account", account)[1]["suspicions"]
    assert (listed["suspicion_id"], listed["standing"]) == (first["suspicion_id"], "LIFTED")
    assert account not in {each["account_id"] for each in run(suspicion, "list", "--in-force")[1]["suspicions"]}


def test_a_second_opening_and_personal_data_are_refused(run: Run) -> None:
    account = "2" * 32
    opened(run, account)
    for text in ("three reports", "CPF 123.456.789-09"):
        arguments = ["open", account, "--days", "1", "--found", text, "--document", "REPORT:r-9"]
        code, found = run(suspicion, *arguments)
        assert (code, found["error"]) == (1, "RecordRefused")
        assert "123" not in json.dumps(found)
    assert run(suspicion, "lift", "9" * 32, "--found", "nothing")[0] == 1


def test_the_record_for_the_supervisor_is_written(run: Run, tmp_path: Path) -> None:
    account, file = "3" * 32, tmp_path / "record.html"
    opened(run, account)
    code, found = run(packet, "--account", account, "--out", str(file))
    assert (code, found["outcome"], found["suspicions"], found["stopped"]) == (0, "WRITTEN", 1, 0)
    assert "marcação de fraude m-1" in section(file.read_text("utf-8"), "findings")
    assert Pseudonymiser(KEY.encode()).person("ana@bank.example") in file.read_text("utf-8")
    assert run(packet, "--account", "9" * 32)[1]["error"] == "NoSuchCase"


def test_an_account_number_is_refused_and_not_repeated(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(packet, "--account", "12345678909")
    assert "12345678909" not in capsys.readouterr().err


def test_the_register_that_the_score_functions_read_has_what_the_job_wrote(local: LocalBigQuery, run: Run) -> None:
    accounts = account, other, again = "6" * 32, "7" * 32, "8" * 32
    for each in accounts:
        opened(run, each)
    for each in (other, again):
        run(suspicion, "lift", each, "--found", "taken back")
    opened(run, again)
    queries, address = BigQueryQueries(local.client), f"{PROJECT}.pix.suspicions"
    now, later = (dt.datetime.now(dt.UTC) + dt.timedelta(days=days) for days in (0, 365))

    def read() -> list[SuspicionRow]:
        return rows_in_force(queries, address, now)

    async def rejected() -> FiredRules:
        none = FiredRules(np.zeros(3, np.int8), [()] * len(accounts))
        suspected = SuspectedAccounts(read, time.monotonic, Metrics())
        return await suspected.rejected(none, accounts, micros(now))

    found = asyncio.run(rejected())
    assert (found.severity.tolist(), found.codes) == (
        [2, 0, 2],
        [("PAYEE_UNDER_SUSPICION",), (), ("PAYEE_UNDER_SUSPICION",)],
    )
    assert [row.account_id for row in read() if row.account_id in accounts] == [account, again]
    assert rows_in_force(queries, address, later) == []
