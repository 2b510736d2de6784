"""Zero times, new codes, new fields and other spellings: scored, and replayed as they were served."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.cloud import LocalCloud
from jobs import replay, skew
from tests.builders import encoded, push_body, transaction
from tests.functions.world import ask, deliver, url

ODD = [
    transaction(device__registered_at="0001-01-01T00:00:00Z"),
    transaction(device__registered_at="9999-12-31T23:59:59Z"),
    transaction(payer__opened_at="0001-01-01", payee__opened_at="9999-12-31", payee__key_owned_since="9999-12-31"),
    transaction(payee_statistics__watermark="0001-01-01T00:00:00Z"),
    transaction(initiation_form="APES", purpose="IPRT", payer__account_type="OTHR"),
    transaction(initiation_form="NEWF", purpose="NEWP", payee__key_type="NEWK", novelty=1),
    transaction(payee__account="0007654321"),
    transaction(payee__account="765432-1", payee__branch="1"),
    transaction(payee__branch=None, payee__key="+55 (11) 99999-9999"),
]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A local cloud that was sent the odd messages."""
    with LocalCloud(tmp_path_factory.mktemp("cloud"), pubsub="embedded") as cloud:
        cloud.start_functions()
        sent = deliver(url(cloud, "score"), [push_body(encoded(message)) for message in ODD], 4)
        assert set(sent) == {204}
        yield cloud


def test_each_is_scored_and_none_is_quarantined(cloud: LocalCloud) -> None:
    (counted,) = ask(cloud, "SELECT COUNT(DISTINCT end_to_end_id) AS n FROM pix.score_events")
    (refused,) = ask(cloud, "SELECT COUNT(*) AS n FROM pix.quarantine")
    assert (counted.n, refused.n) == (len(ODD), 0)


def test_the_payee_is_one_account_with_one_key(cloud: LocalCloud) -> None:
    sql = "SELECT COUNT(DISTINCT payee_id) AS accounts, COUNT(DISTINCT payee_key_id) AS keys FROM pix.score_events"
    (found,) = ask(cloud, sql)
    assert found.values() == (1, 1)


def test_an_unknown_code_is_stored_as_other(cloud: LocalCloud) -> None:
    sql = f"SELECT * FROM pix.score_events WHERE end_to_end_id = '{ODD[5]['end_to_end_id']}'"
    (row,) = ask(cloud, sql)
    assert (row.initiation_form, row.purpose, row.payee_key_type) == ("OTHER",) * 3
    assert (row.f_form_apes, row.f_purpose_ipay, row.f_key_phone) == (0.0,) * 3


def test_tables_are_replayed_and_audited_without_a_difference(
    cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    assert replay.main(["tables", "--state-out", str(tmp_path / "state.npz")]) == 0
    assert skew.main(["--all"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["outcome"], found["compared"], found["features"]) == ("EQUAL", len(ODD), {})
