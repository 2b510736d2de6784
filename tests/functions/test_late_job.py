"""A return that comes when history has forgotten its Pix, through the function, BigQuery and the job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from infra.local.cloud import LocalCloud
from jobs import fill, repair, skew
from shared.setting_limits import CLAIM_SECONDS_MIN
from tests.builders import encoded, outcome, push_body, transaction
from tests.functions.test_score import scores
from tests.functions.world import ask, deliver, led_to, url

REPAIR = ["--settle", "0", "--days", "3650"]
ACCOUNT = {"payer__account": "4242"}
PIX = 9
RETURNED = {"amount": "15.00", "reason": "FR01", "at": "2026-11-22T14:32:09Z"}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path, pubsub="embedded") as running, led_to(running):
        running.start_functions(outcomes="published", state_claim_seconds=CLAIM_SECONDS_MIN)
        yield running


def forget_lives(cloud: LocalCloud, ids: list[str]) -> None:
    """Let history forget Pix, as it does after a time."""
    with Redis.from_url(cloud.settings.state) as server:
        for id_ in ids:
            assert server.delete(*server.keys(f"*{id_}"))


def tell(cloud: LocalCloud, *messages: dict[str, Any]) -> None:
    bodies = [push_body(encoded(each)) for each in messages]
    assert set(deliver(url(cloud, "outcome"), bodies)) == {204}


def result(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def returned(id_: str, number: int) -> dict[str, Any]:
    return outcome(id_, "RETURNED", return_id=f"D876543212026112214320000000{number:04d}", **RETURNED)


def test_late_returns_are_counted_by_the_next_repair_that_is_due(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [transaction(amount="150.00", **ACCOUNT) for _ in range(PIX)]
    ids = [each["end_to_end_id"] for each in messages]
    assert set(deliver(url(cloud, "score"), [push_body(encoded(each)) for each in messages])) == {204}
    tell(cloud, *(outcome(id_) for id_ in ids))
    forget_lives(cloud, ids)
    tell(cloud, *(returned(id_, i) for i, id_ in enumerate(ids)), *(returned(id_, i) for i, id_ in enumerate(ids)))
    (shown,) = ask(cloud, "SELECT COUNT(*) AS n FROM pix.life WHERE returned_amount = 15")
    assert shown.n == PIX, "analysts see them at once"

    assert repair.main(REPAIR) == 0
    assert result(capsys)["late"] == {"counted": 0, "left": 0}, "none has waited for an hour"
    assert skew.main(["--all"]) == 0
    assert result(capsys)["outcome"] == "EQUAL"

    monkeypatch.setenv("PIX_LATE_OUTCOME_SECONDS", "0")
    assert repair.main(REPAIR) == 0
    assert result(capsys)["late"] == {"counted": PIX, "left": 0}
    forget_lives(cloud, ids)
    later = transaction(**ACCOUNT)
    assert deliver(url(cloud, "score"), [push_body(encoded(later))]) == [204]
    assert scores(cloud, [later])[0].history_sequence
    sql = (
        "SELECT COUNT(*) AS n, COUNT(DISTINCT history_sequence) AS places FROM pix.outcomes WHERE status = 'RETURNED'"
    )
    (rows,) = ask(cloud, f"{sql} AND place_pending IS NULL")
    assert (rows.n, rows.places) == (PIX, PIX)
    assert fill.main(["--since", "2000-01-01", "--older-than", "0"]) == 0
    assert result(capsys)["outcome"] == "NOTHING_TO_FILL", "none is counted twice"
    assert skew.main(["--all"]) == 0
    audited = result(capsys)
    assert (audited["outcome"], audited["compared"], audited["gaps"]["transactions"]) == ("EQUAL", PIX + 1, 0)


def test_an_outcome_of_a_pix_that_was_never_scored_is_left_and_looked_up_again_later(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(cloud, outcome(transaction()["end_to_end_id"]))
    for seconds, left in (("0", 1), ("3600", 0)):
        monkeypatch.setenv("PIX_LATE_OUTCOME_SECONDS", seconds)
        assert repair.main(REPAIR) == 0
        assert result(capsys)["late"] == {"counted": 0, "left": left}
    (known,) = ask(cloud, "SELECT COUNT(tried_at) AS n, COUNTIF(counted) AS counted FROM pix.late_outcomes")
    assert (known.n, known.counted) == (1, 0)
