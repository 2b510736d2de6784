"""The smoke test that a deployment runs, against the local cloud."""

import datetime as dt
import json

from infra.deploy import smoke
from shared.contract.fields import NOBODY
from shared.contract.transaction import decode_transaction
from tests.contract.googlesql import check
from tests.waiting import PATIENCE


def test_it_shows_the_row_of_the_pix_that_it_published(cloud, monkeypatch, capsys) -> None:
    for name, value in cloud.exports.items():
        monkeypatch.setenv(name, value)
    assert smoke.main(["--timeout", str(PATIENCE)]) == 0
    assert "decision" in capsys.readouterr().out


def test_without_a_model_it_fails_if_all_must_be_there(cloud, monkeypatch, capsys) -> None:
    for name, value in {**cloud.exports, "PIX_DATASET": cloud.settings.dataset}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(smoke, "row_of", lambda *_: {"decision": "HOLD", "degraded": True})
    assert smoke.main(["--full"]) == 1
    assert "degraded" in capsys.readouterr().err


def test_it_fails_when_no_row_comes(cloud, monkeypatch) -> None:
    for name, value in cloud.exports.items():
        monkeypatch.setenv(name, value)
    publisher = smoke.PublisherClient()
    path = publisher.topic_path(cloud.settings.project, "nobody-listens")
    publisher.create_topic(name=path)
    assert smoke.main(["--topic", "nobody-listens", "--timeout", "2"]) == 1


def test_its_pix_keeps_the_contract() -> None:
    message = smoke.transaction(dt.datetime.now(dt.UTC))
    assert decode_transaction(json.dumps(message).encode()).value.end_to_end_id == message["end_to_end_id"]


def test_its_pix_is_of_the_institution_that_training_and_drift_leave_out() -> None:
    found = decode_transaction(json.dumps(smoke.transaction(dt.datetime.now(dt.UTC))).encode()).value
    assert found.payer.ispb == found.payee.ispb == found.end_to_end_id[1:9] == NOBODY


def test_google_reads_its_question() -> None:
    check(smoke.question("bank.pix.score_events"))
