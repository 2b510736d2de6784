"""The control group under functions-framework: an operator switches it on and off, and rows say what it did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from google.cloud import bigquery

from infra.local.cloud import LocalCloud
from infra.local.provision import create_buckets
from jobs import control
from shared.contract.rows import LedgerRow
from shared.learning.lifecycle.pointer import publish, read_pointer, swap
from shared.scoring.control import CONTROL_GROUP
from tests.builders import encoded, push_body, transaction
from tests.functions.instance import Instance, Start
from tests.functions.test_score import scores
from tests.functions.test_swap import CAUSE
from tests.functions.world import ask, deliver, led_to
from tests.unit.learning.bundles import small_bundle
from tests.waiting import until

BUCKET = "pix-control"
HELD = "10.00"
"""An amount that the model of this test holds."""
UNKNOWN = {
    "payer__account": "5550001",
    "payer__tax_id": "52998224725",
    "payee__account": "5550002",
    "payee__tax_id": "11144477735",
    "payee__key": "+5511955500002",
}
"""Accounts of which the store knows nothing by other tests, so that no rule fires."""


@dataclass
class Desk:
    """An instance of the score function with a bucket of its own, and the operator's job."""

    cloud: LocalCloud
    score: Instance
    capsys: pytest.CaptureFixture[str]

    def job(self, *options: str) -> dict[str, Any]:
        """Run `jobs.control`, and return its result."""
        assert control.main(list(options)) == 0
        result: dict[str, Any] = json.loads(self.capsys.readouterr().out.splitlines()[-1])
        return result

    def turn_on(self, day: str) -> None:
        """Switch it on, so that each Pix has almost every chance."""
        amounts = ("--pix-brl", day, "--day-brl", day, "--month-brl", "9000000000.00", "--reserved-brl", "0")
        assert self.job("on", "--share", "1", *amounts, "--reason", "test")["outcome"] == "SWITCHED"

    def decided(self, *messages: dict[str, Any]) -> list[bigquery.Row]:
        """Deliver messages and return their rows, in their order."""
        bodies = [push_body(encoded(message)) for message in messages]
        assert deliver(self.score.address, bodies, at_once=1) == [204] * len(bodies)
        rows = {row.end_to_end_id: row for row in scores(self.cloud, list(messages))}
        return [rows[message["end_to_end_id"]] for message in messages]

    def one(self) -> bigquery.Row:
        """Return the row of a Pix that the model holds."""
        (row,) = self.decided(transaction(amount=HELD, **UNKNOWN))
        return row


@pytest.fixture
def desk(
    cloud: LocalCloud, started: Start, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    create_buckets(cloud.settings.project, (BUCKET,))
    blobs = cloud.models(BUCKET)
    publish(blobs, "v1", small_bundle("v1", slope=0.001))
    swap(blobs, read_pointer(blobs), "v1", CAUSE)
    with led_to(cloud):
        monkeypatch.setenv("PIX_BUCKET", BUCKET)
        yield Desk(cloud, started(PIX_BUCKET=BUCKET), capsys)


def test_the_switch_draws_pix_until_the_purse_is_empty_and_off_ends_it(desk: Desk) -> None:
    plain = desk.one()
    assert (plain.decision, plain.policy_decision, plain.control_probability) == ("HOLD", None, None)

    desk.turn_on("1000000000.00")
    row = until(lambda: found if (found := desk.one()).policy_decision else None)
    assert (row.decision, row.policy_decision, row.hold_until) == ("APPROVE", "HOLD", None)
    assert 0.9 < row.control_probability < 1
    assert row.reasons[-1] == CONTROL_GROUP
    again = {"end_to_end_id": row.end_to_end_id, "amount": HELD, **UNKNOWN}
    assert desk.decided(transaction(**again)) == [row]

    desk.turn_on("30.00")
    emptied = until(lambda: found if (found := desk.one()).control_probability is None else None)
    assert (emptied.decision, emptied.policy_decision) == ("HOLD", None)

    assert desk.job("show")["switch"]["actor"]
    assert desk.job("off", "--reason", "the end")["outcome"] == "SWITCHED"
    recorded = ask(
        desk.cloud, f"SELECT {', '.join(LedgerRow.__struct_fields__)} FROM pix.model_ledger ORDER BY recorded_at"
    )
    switched = [(each.action, each.reason) for each in recorded if each.action.startswith("CONTROL_")]
    assert [action for action, _ in switched] == ["CONTROL_ON", "CONTROL_ON", "CONTROL_OFF"]
    assert switched[1][1].startswith("test: share 100 %, of rejects 100 %, up to BRL 30.00 a Pix, 30.00 a day")
    assert switched[2][1] == "the end"
