"""The smoke test of a deployment, against the local cloud."""

import datetime as dt
import json

import pytest
from google.cloud.pubsub_v1 import PublisherClient

from infra.deploy import smoke
from infra.local.cloud import LocalCloud
from shared.contract.fields import NOBODY
from shared.contract.transaction import decode_transaction
from tests.contract.googlesql import check
from tests.waiting import PATIENCE


def test_the_row_of_the_published_pix_is_printed(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in cloud.exports.items():
        monkeypatch.setenv(name, value)
    assert smoke.main(["--timeout", str(PATIENCE)]) == 0
    assert "decision" in capsys.readouterr().out


def test_full_fails_on_a_degraded_row(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**cloud.exports, "PIX_DATASET": cloud.settings.dataset}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(smoke, "row_of", lambda *_: {"decision": "HOLD", "degraded": True})
    assert smoke.main(["--full"]) == 1
    assert "degraded" in capsys.readouterr().err


def test_a_missing_row_fails(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.exports.items():
        monkeypatch.setenv(name, value)
    publisher = PublisherClient()
    path = publisher.topic_path(cloud.settings.project, "nobody-listens")
    publisher.create_topic(name=path)
    assert smoke.main(["--topic", "nobody-listens", "--timeout", "2"]) == 1


def test_the_pix_is_valid() -> None:
    message = smoke.transaction(dt.datetime.now(dt.UTC))
    assert decode_transaction(json.dumps(message).encode()).value.end_to_end_id == message["end_to_end_id"]


def test_the_pix_belongs_to_the_institution_excluded_from_training_and_drift() -> None:
    found = decode_transaction(json.dumps(smoke.transaction(dt.datetime.now(dt.UTC))).encode()).value
    assert found.payer.ispb == found.payee.ispb == found.end_to_end_id[1:9] == NOBODY


def test_the_query_is_valid_googlesql() -> None:
    check(smoke.question("bank.pix.score_events"))
