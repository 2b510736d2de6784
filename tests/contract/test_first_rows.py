"""Which of a Pix' rows stands, by the query on which the views rest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from infra.deploy.migrate import make
from shared.contract import tables as contract
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.rows import Field, Writer

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
COLUMNS = {
    "end_to_end_id": (Field.TYPE_STRING, False),
    "initiated_at": (Field.TYPE_INT64, False),
    "scored_at": (Field.TYPE_INT64, False),
    "published_at": (Field.TYPE_INT64, False),
    "delivery_attempt": (Field.TYPE_INT64, False),
    "history_sequence": (Field.TYPE_INT64, False),
    "claim_number": (Field.TYPE_INT64, False),
    "amount": (Field.TYPE_STRING, False),
    "decision": (Field.TYPE_STRING, False),
}


def at(seconds: float) -> int:
    return round((NOON + dt.timedelta(seconds=seconds)).timestamp() * 1_000_000)


def row(pix: str, scored: float, published: float | None, decision: str, **more: Any) -> dict[str, Any]:
    """Return a row by the seconds at which it was scored, by its instance's clock, and its message published."""
    times = {"initiated_at": at(0), "scored_at": at(scored)}
    sent = {} if published is None else {"published_at": at(published), "delivery_attempt": 1}
    return {"end_to_end_id": pix, "amount": "1.00", "decision": decision, **times, **sent, **more}


def numbered(claim: int) -> dict[str, int]:
    return {"history_sequence": 7, "claim_number": claim}


ROWS = {
    "by its claims, whatever the clocks say": [
        row("numbered", 4, 3, "HOLD", **numbered(1)),
        row("numbered", 2, 1, "APPROVE", **numbered(2)),
    ],
    "by its attempts without claims, whatever the clocks say": [
        row("attempts", 4, 1, "HOLD"),
        row("attempts", 2, 1, "APPROVE", delivery_attempt=2),
    ],
    "the copy that was decided first, though published last": [
        row("copies", 4, 2, "HOLD"),
        row("copies", 40, 1, "APPROVE", delivery_attempt=4, **numbered(1)),
    ],
    "the copy that was decided first, though published with the other": [
        row("together", 4, 1, "HOLD", **numbered(1)),
        row("together", 6, 1, "APPROVE"),
    ],
    "the copy with numbers, though the clock of the other was 2 s behind": [
        row("behind", 4, 1, "HOLD", **numbered(1)),
        row("behind", 3, 1, "APPROVE"),
    ],
    "the copy with numbers, though the other was published first": [
        row("skewed", 4, 2, "HOLD", **numbered(1)),
        row("skewed", 3, 1, "APPROVE"),
    ],
    "one asked for by HTTP": [
        row("asked", 4, None, "HOLD"),
        row("asked", 9, 1, "APPROVE", **numbered(1)),
    ],
}


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the decision that stands about each Pix, once its rows were stored in either order."""
    state = tmp_path_factory.mktemp("first")
    with local_bigquery(state, state) as local:
        make(local.client, "pix", contract.tables())
        _store(local)
        sql = contract.first(PROJECT, "pix", contract.timestamp(NOON))
        yield {each.end_to_end_id: each.decision for each in local.client.query(sql).result()}


def _store(local: LocalBigQuery) -> None:
    writer = Writer(local.server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/score_events", COLUMNS)
    assert writer.append([each for rows in ROWS.values() for each in reversed(rows)]) == ""
    writer.close()


@pytest.mark.parametrize("which", ROWS)
def test_the_first_decision_stands(decisions: dict[str, str], which: str) -> None:
    assert decisions[ROWS[which][0]["end_to_end_id"]] == "HOLD"
