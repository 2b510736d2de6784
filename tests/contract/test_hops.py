"""Taint and recovered amounts by MED 2.0, in a local BigQuery, as a command, and as SQL for Google's analyser."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.migrate import make
from jobs import hops
from jobs.cli import wiring
from shared.contract import tables as contract
from shared.contract.rows import FEATURE_PREFIX
from shared.learning.judging.taint import TAINTS
from shared.learning.lifecycle import recovery
from shared.learning.lifecycle.hops import HopSql
from shared.settings import Settings
from tests.contract.googlesql import check
from tests.contract.local_servers import PROJECT, local_bigquery, storage_client
from tests.contract.rows import Field, Writer
from tests.contract.test_views import REPORTED, SAID, SCORED
from tests.model_keys import signing

NOW = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0)
PIX = SCORED | {FEATURE_PREFIX + name: (Field.TYPE_DOUBLE, False) for name in TAINTS}
TOLD = REPORTED | {"root_end_to_end_id": (Field.TYPE_STRING, False), "amount": (Field.TYPE_STRING, False)}
RETURNED = SAID | dict.fromkeys(("return_id", "amount"), (Field.TYPE_STRING, False))
ROOTS, HOP_AFTER_MINUTES, DAYS_AGO = 120, 12, 60


def at(days: float, minutes: float = 0) -> int:
    return round((NOW - dt.timedelta(days=days) + dt.timedelta(minutes=minutes)).timestamp() * 1_000_000)


def id_of(days: float, number: int) -> str:
    return f"E00000000{NOW - dt.timedelta(days=days):%Y%m%d%H%M}{number:011}"


def pix(id_: str, days: float, minutes: float, amount: str, taint: float) -> dict[str, Any]:
    row = {"end_to_end_id": id_, "initiated_at": at(days, minutes), "scored_at": at(days, minutes), "amount": amount}
    taints = dict.fromkeys((FEATURE_PREFIX + name for name in TAINTS), taint)
    return row | {"decision": "APPROVE", "side": "PAYER", "payer_ispb": "12345678", "history_sequence": 1} | taints


def report(id_: str, result: str, **fields: Any) -> dict[str, Any]:
    verdict = "FRAUD" if result == "AGREED" else "LEGITIMATE"
    row = {"source": "MED", "report_id": f"m-{id_}", "end_to_end_id": id_, "verdict": verdict, "status": "CLOSED"}
    return row | {"analysis_result": result, "reported_at": at(50), "received_at": at(50)} | fields


def refund(id_: str, amount: str) -> dict[str, Any]:
    row = {"source": "REFUND", "report_id": f"r-{id_}", "end_to_end_id": id_, "verdict": "NONE", "status": "CLOSED"}
    return row | {"amount": amount, "reported_at": at(45), "received_at": at(45)}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Roots of R$ 100, each with a hop that is agreed three times in four; a tenth of the roots has money back."""
    roots = [id_of(DAYS_AGO, number) for number in range(ROOTS)]
    later = [id_of(DAYS_AGO, 1000 + number) for number in range(ROOTS)]
    old = [id_of(200, 2000 + number) for number in range(30)]
    scored = [pix(id_, DAYS_AGO, 0, "100.00", 0.0) for id_ in roots]
    scored += [pix(id_, DAYS_AGO, HOP_AFTER_MINUTES, "90.00", 0.5 * (i % 2)) for i, id_ in enumerate(later)]
    scored += [pix(id_, 200, 0, "10.00", 0.1) for id_ in old]
    said = [{"end_to_end_id": row["end_to_end_id"], "side": "PAYER", "at": row["initiated_at"]} for row in scored]
    settled = [row | {"received_at": row["at"], "status": "SETTLED"} for row in said]
    told = [report(id_, "AGREED") for id_ in roots]
    told += [
        report(id_, "DISAGREED" if i % 4 == 0 else "AGREED", hop=2, root_end_to_end_id=roots[i])
        for i, id_ in enumerate(later)
    ]
    told += [refund(id_, "30.00") for id_ in roots[:12]] + [refund(id_, "20.00") for id_ in later[:12]]
    back = [row | {"status": "RETURNED", "return_id": "D1", "amount": "30.00"} for row in settled[:12]]
    folder = tmp_path_factory.mktemp("hops")
    with (
        storage_client(folder / "objects", folder / "log") as storage,
        local_bigquery(folder / "state", folder / "objects") as (server, client),
    ):
        storage.create_bucket("pix-models")
        make(client, "pix", contract.tables())
        for table, fields, rows in (
            ("score_events", PIX, scored),
            ("outcomes", RETURNED, [*settled, *back]),
            ("feedback", TOLD, told),
        ):
            writer = Writer(server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/{table}", fields)
            assert writer.append(rows) == ""
            writer.close()
        yield {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "PIX_HMAC_KEY": "a key of the tests that is long enough",
            "STORAGE_EMULATOR_HOST": storage.api_endpoint,
            **server.addresses,
            **signing(folder),
        }


@pytest.fixture
def run(
    cloud: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Any]]:
    """Run the job; return its exit code and result."""
    for name, value in cloud.items():
        monkeypatch.setenv(name, value)

    def job(*arguments: str) -> tuple[int, Any]:
        return hops.main(list(arguments)), json.loads(capsys.readouterr().out.splitlines()[-1])

    return job


def test_taint_is_judged_and_values_are_proposed(run: Callable[..., tuple[int, Any]]) -> None:
    code, found = run()
    assert (code, found["outcome"], found["labels"], found["agreed"]) == (0, "FITTED", 120, 90)
    assert found["fit"]["hop"] == pytest.approx(0.75, abs=0.02)
    assert found["fit"]["half_life"] is None  # all hops came after 12 minutes
    by_key = {(each["taint"], each["threshold"]): each for each in found["detections"]}
    half = by_key["payee_taint_7d", 0.5]
    assert (half["hop"], half["frauds"], half["precision"]) == (2, 90, 1.0)
    assert half["recall"] == pytest.approx(60 / 90)
    assert by_key["payee_taint_7d", 0.1]["precision"] == pytest.approx(60 / 90)  # 30 legitimate Pix of 0.1


def test_the_recovered_share_counts_money_once_and_reaches_a_retraining(
    run: Callable[..., tuple[int, Any]], cloud: dict[str, str]
) -> None:
    code, found = run("--publish")
    share = 12 * (30 + 20) / (ROOTS * 100)
    assert (code, found["recovery"]["frauds"], found["recovery"]["published"]) == (0, ROOTS, True)
    assert found["recovery"]["share"] == pytest.approx(share)
    assert found["recovery"]["low"] < share < found["recovery"]["high"]
    proposed = {"recovered": pytest.approx(share)}
    assert found["recovery"]["proposal"] == {"costs": {"payer": proposed, "payee": proposed}}
    published = recovery.published(wiring.blobs(Settings.from_env(cloud)), wiring.now())
    assert published.share == pytest.approx(share)


def test_too_few_labels_are_an_outcome_and_publish_nothing(run: Callable[..., tuple[int, Any]]) -> None:
    code, found = run("--days", "1", "--publish")
    assert (code, found["outcome"], found["fit"], found["detections"]) == (0, "NOTHING_TO_DO", None, [])
    assert found["reasons"] == ["0 of 50 closed reports on later hops, 0 agreed and 0 disagreed of 10 each"]
    assert found["recovery"] == {"proposal": None, "reason": "no fraud is old enough"}


def test_a_missing_setting_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    assert hops.main([]) == 1


def test_the_statements_are_valid_googlesql() -> None:
    sql = HopSql("bank", "pix", 87)
    for statement in (sql.labels(), sql.legitimate(), recovery.recovery_sql("bank", "pix", 87)):
        check(statement)
