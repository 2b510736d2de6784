"""The smoke test of a deployment, against the local cloud."""

import datetime as dt
import json
import re
from typing import Any

import pytest
from google.cloud.pubsub_v1 import PublisherClient

from infra.deploy import smoke
from infra.local.cloud import LocalCloud
from shared.contract.feedback import CustomerReport, CustomerStatus, decode_feedback
from shared.contract.fields import NOBODY
from shared.contract.outcome import decode_outcome
from shared.contract.transaction import decode_transaction
from tests.contract.googlesql import check
from tests.waiting import PATIENCE


def test_the_rows_of_the_published_pix_and_its_outcome_are_printed(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in cloud.exports.items():
        monkeypatch.setenv(name, value)
    assert smoke.main(["--timeout", str(PATIENCE)]) == 0
    printed = capsys.readouterr().out
    assert "decision" in printed
    assert re.search(r"^status +SETTLED$", printed, re.MULTILINE)


def test_full_fails_on_a_degraded_row(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**cloud.exports, "PIX_DATASET": cloud.settings.dataset}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(smoke.Smoke, "row", lambda *_: {"decision": "HOLD", "degraded": True})
    assert smoke.main(["--full"]) == 1
    assert "degraded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        (smoke.SCORE, "no score"),
        (smoke.OUTCOME, "no row of the outcome"),
        (smoke.REPORT, "no row of the report"),
        (smoke.QUESTION, "no answer to a question"),
    ],
)
def test_a_missing_row_fails(
    cloud: LocalCloud,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    missing: smoke.Wanted,
    reason: str,
) -> None:
    for name, value in cloud.exports.items():
        monkeypatch.setenv(name, value)
    publisher = PublisherClient()
    unheard = missing.topic + smoke.CANDIDATES
    publisher.create_topic(name=publisher.topic_path(cloud.settings.project, unheard))
    row = smoke.Smoke.row

    def heard(run: smoke.Smoke, wanted: smoke.Wanted, message: dict[str, Any]) -> dict[str, Any] | None:
        return row(run, wanted, message) if wanted == missing else {"degraded": False}

    monkeypatch.setattr(smoke.Smoke, "row", heard)
    assert smoke.main(["--candidates", "--timeout", "2"]) == 1
    assert reason in capsys.readouterr().err


def test_the_pix_is_valid() -> None:
    message = smoke.transaction(dt.datetime.now(dt.UTC))
    assert decode_transaction(json.dumps(message).encode()).value.end_to_end_id == message["end_to_end_id"]


def test_the_outcome_is_of_the_pix_and_valid() -> None:
    pix = smoke.transaction(dt.datetime.now(dt.UTC))
    message = smoke.outcome(pix, dt.datetime.now(dt.UTC))
    assert decode_outcome(json.dumps(message).encode()).value.end_to_end_id == pix["end_to_end_id"]


def test_the_report_is_about_the_pix_valid_and_no_fraud() -> None:
    pix = smoke.transaction(dt.datetime.now(dt.UTC))
    found = decode_feedback(json.dumps(smoke.report(pix, dt.datetime.now(dt.UTC))).encode()).value
    assert isinstance(found, CustomerReport)
    assert found.end_to_end_id == pix["end_to_end_id"]
    assert found.status == CustomerStatus.WITHDRAWN


def test_the_pix_belongs_to_the_institution_excluded_from_training_and_drift() -> None:
    found = decode_transaction(json.dumps(smoke.transaction(dt.datetime.now(dt.UTC))).encode()).value
    assert found.payer.ispb == found.payee.ispb == found.end_to_end_id[1:9] == NOBODY


@pytest.mark.parametrize("wanted", [smoke.SCORE, smoke.OUTCOME, smoke.REPORT], ids=lambda wanted: wanted.table)
def test_the_query_is_valid_googlesql(wanted: smoke.Wanted) -> None:
    check(wanted.question("bank.pix"))
