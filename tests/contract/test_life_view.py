"""The view of lives over outcomes in any order, repeated, of both sides, and where only decisions are known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from infra.deploy.migrate import NO_RETRY, make
from shared.contract import tables as contract
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.rows import Field, Writer
from tests.contract.test_views import SCORED

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
TOLD = {
    "end_to_end_id": (Field.TYPE_STRING, False),
    "side": (Field.TYPE_STRING, False),
    "status": (Field.TYPE_STRING, False),
    "at": (Field.TYPE_INT64, False),
    "received_at": (Field.TYPE_INT64, False),
    "return_id": (Field.TYPE_STRING, False),
    "amount": (Field.TYPE_STRING, False),
}


def minute(count: float) -> int:
    return round((NOON + dt.timedelta(minutes=count)).timestamp() * 1_000_000)


def asked(id_: str, decision: str = "APPROVE", side: str = "PAYER", decided: int | None = None) -> dict[str, Any]:
    row = {"end_to_end_id": id_, "initiated_at": minute(0), "scored_at": minute(0.01), "amount": "100.00"}
    own = {} if decided is None else {"decided_sequence": decided}
    return row | {"decision": decision, "side": side, "history_sequence": 1} | own


def told(id_: str, status: str, at: float = 1, **more: Any) -> dict[str, Any]:
    row = {"end_to_end_id": id_, "side": "PAYER", "status": status, "at": minute(at), "received_at": minute(at)}
    return row | more


def returned(id_: str, number: int, amount: str, at: float = 5) -> dict[str, Any]:
    return told(id_, "RETURNED", at, return_id=f"D{number}", amount=amount)


SCORES = [
    *(asked(name) for name in ("settled", "late settlement", "refused", "in flight", "returned", "blocked")),
    *(asked("assumed", decided=2), asked("assumed"), asked("held", "HOLD", decided=3)),
    asked("assumed, then refused", decided=4),
    *(asked("one side blocks", decided=5), asked("one side blocks", "BLOCK", "PAYEE", 6)),
    *(asked("both sides"), asked("both sides", side="PAYEE")),
]
OUTCOMES = [
    *(told("settled", "SETTLED"), told("settled", "SETTLED"), told("settled", "REJECTED", 2)),
    *(told("late settlement", "EXPIRED", 1), told("late settlement", "SETTLED", 3)),
    *(told("refused", "REJECTED", 2), told("refused", "CANCELLED", 1)),
    *(told("returned", "SETTLED"), returned("returned", 1, "30.00"), returned("returned", 1, "30.00")),
    returned("returned", 2, "50.00", 9),
    *(told("blocked", "SETTLED"), told("blocked", "BLOCKED", 2, side="PAYEE")),
    told("blocked", "RELEASED", 4, side="PAYEE"),
    *(told("assumed, then refused", "REJECTED"), told("both sides", "SETTLED")),
]
LIVES = {
    ("settled", "PAYER"): ("SETTLED", 1, 0.0),
    ("late settlement", "PAYER"): ("SETTLED", 3, 0.0),
    ("refused", "PAYER"): ("CANCELLED", None, 0.0),
    ("in flight", "PAYER"): (None, None, 0.0),
    ("returned", "PAYER"): ("SETTLED", 1, 80.0),
    ("blocked", "PAYER"): ("SETTLED", 1, 0.0),
    ("assumed", "PAYER"): ("ASSUMED_SETTLED", 0, 0.0),
    ("held", "PAYER"): (None, None, 0.0),
    ("assumed, then refused", "PAYER"): ("REJECTED", None, 0.0),
    ("one side blocks", "PAYER"): (None, None, 0.0),
    ("one side blocks", "PAYEE"): (None, None, 0.0),
    ("both sides", "PAYER"): ("SETTLED", 1, 0.0),
    ("both sides", "PAYEE"): ("SETTLED", 1, 0.0),
}
"""The outcome of each Pix and side, the minute in which it settled, and the amount returned."""


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    state = tmp_path_factory.mktemp("lives")
    with local_bigquery(state, state) as local:
        yield _lives(local)


def _lives(local: LocalBigQuery) -> list[dict[str, Any]]:
    server, client = local
    make(client, "pix", contract.tables(), contract.views(PROJECT, "pix", 87))
    for name, fields, rows in (("score_events", SCORED, SCORES), ("outcomes", TOLD, OUTCOMES)):
        writer = Writer(server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/{name}", fields)
        assert [writer.append([row]) for row in rows] == [""] * len(rows)
        writer.close()
    sql = contract.query("life", PROJECT, "pix", 87, "TIMESTAMP '2026-11-21'")
    return [dict(row) for row in client.query(sql, retry=NO_RETRY, job_retry=NO_RETRY).result()]


def test_each_pix_and_side_has_one_row(lives: list[dict[str, Any]]) -> None:
    assert sorted((row["end_to_end_id"], row["side"]) for row in lives) == sorted(LIVES)


def test_a_settlement_outweighs_a_refusal_and_a_refusal_an_assumption(lives: list[dict[str, Any]]) -> None:
    found = {
        (row["end_to_end_id"], row["side"]): (
            *(row["outcome"], None if row["settled_at"] is None else round((row["settled_at"] - NOON).seconds / 60)),
            float(row["returned_amount"]),
        )
        for row in lives
    }
    assert found == LIVES


def test_blocks_and_returns_have_their_times(lives: list[dict[str, Any]]) -> None:
    by_id = {row["end_to_end_id"]: row for row in lives}
    blocked, back = by_id["blocked"], by_id["returned"]
    assert [blocked["blocked_at"], blocked["released_at"]] == [NOON + dt.timedelta(minutes=i) for i in (2, 4)]
    assert back["returned_at"] == NOON + dt.timedelta(minutes=9)
