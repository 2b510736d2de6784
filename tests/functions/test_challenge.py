"""A challenger under functions-framework: an operator tries it and ends the test, and rows say who decided."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from google.cloud import bigquery

from infra.local.cloud import LocalCloud
from infra.local.provision import create_buckets
from jobs import challenge
from shared.learning.lifecycle.pointer import publish, read_pointer, swap
from tests.builders import encoded, push_body, transaction
from tests.functions.instance import Instance, Start
from tests.functions.test_control import UNKNOWN
from tests.functions.test_swap import CAUSE
from tests.functions.world import ask, deliver, led_to
from tests.unit.learning.bundles import small_bundle
from tests.waiting import until

BUCKET = "pix-challenge"
_ids = itertools.count()
COLUMNS = (
    *("decision", "model_version", "score"),
    *("challenger_version", "challenger_score", "challenger_decision", "arm", "arm_propensity"),
)


@dataclass
class Desk:
    """An instance of the score function with a bucket of its own, and the operator's job."""

    cloud: LocalCloud
    score: Instance
    capsys: pytest.CaptureFixture[str]

    def job(self, *options: str) -> dict[str, Any]:
        """Run `jobs.challenge`, and return its result."""
        assert challenge.main(list(options)) == 0
        result: dict[str, Any] = json.loads(self.capsys.readouterr().out.splitlines()[-1])
        return result

    def one(self) -> bigquery.Row:
        """Return the row of a Pix that is asked for now."""
        now = dt.datetime.now(dt.UTC)
        id_ = f"E12345678{now:%Y%m%d%H%M}{next(_ids):011d}"
        message = transaction(end_to_end_id=id_, initiated_at=now.isoformat(), amount="150.00", **UNKNOWN)
        assert deliver(self.score.address, [push_body(encoded(message))], at_once=1) == [204]
        (row,) = ask(
            self.cloud,
            f"SELECT {', '.join(COLUMNS)} FROM pix.scores WHERE end_to_end_id = '{message['end_to_end_id']}'",
        )
        return row


@pytest.fixture
def desk(
    cloud: LocalCloud, started: Start, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    create_buckets(cloud.settings.project, (BUCKET,))
    blobs = cloud.models(BUCKET)
    for version, slope in (("v1", 0.001), ("v2", 0.1)):
        publish(blobs, version, small_bundle(version, slope=slope))
    swap(blobs, read_pointer(blobs), "v1", CAUSE)
    with led_to(cloud):
        monkeypatch.setenv("PIX_BUCKET", BUCKET)
        yield Desk(cloud, started(PIX_BUCKET=BUCKET), capsys)


def test_a_challenger_watches_then_decides_then_is_gone(desk: Desk) -> None:
    assert desk.one().challenger_version is None

    assert desk.job("v2", "--shadow")["outcome"] == "STARTED"
    row = until(lambda: found if (found := desk.one()).challenger_version else None)
    assert (row.model_version, row.decision, row.challenger_version) == ("v1", "HOLD", "v2")
    assert (row.challenger_decision, row.arm, row.arm_propensity) == ("REJECT", "CHAMPION", 1.0)
    assert row.challenger_score > row.score

    desk.job("v2", "--share", "1", "--reason", "test")
    row = until(lambda: found if (found := desk.one()).arm == "CHALLENGER" else None)
    assert (row.model_version, row.decision, row.score) == ("v2", "REJECT", row.challenger_score)
    assert desk.job("--watch")["outcome"] == "UNCHANGED"
    assert desk.job("--status")["arms"]["CHALLENGER"]["rejected"] >= 1

    assert desk.job("--stop", "--reason", "the end")["outcome"] == "STOPPED"
    row = until(lambda: found if (found := desk.one()).challenger_version is None else None)
    assert (row.model_version, row.arm, row.arm_propensity) == ("v1", None, None)
    recorded = ask(
        desk.cloud,
        "SELECT action, reason FROM pix.model_ledger WHERE action LIKE 'CHALLENGE%' ORDER BY recorded_at",
    )
    assert [(each.action, each.reason) for each in recorded] == [
        ("CHALLENGE_SHADOW", "by hand"),
        ("CHALLENGE_SHARE", "test"),
        ("CHALLENGE_STOP", "the end"),
    ]
