"""The lookup of the label function finds a Pix near and far from its day, a return, and the Pix of a report."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from infra.deploy.migrate import make
from shared.adapters.bigquery.lookup import FAR_DAYS, FAR_SECONDS, BigQueryLookup
from shared.contract import tables as contract
from shared.contract.event import micros
from shared.ports.decisions import Parties
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.rows import Field, Writer
from tests.contract.test_views import REPORTED, SAID, SCORED, reported

TEXT = (Field.TYPE_STRING, False)
DAY = dt.datetime(2026, 11, 20, 14, 32, tzinfo=dt.UTC)
NOW = dt.datetime.now(dt.UTC)
NEAR, FAR, OLD, NEVER = (
    f"E12345678202611201432{name}" for name in ("near0000000", "far00000000", "old00000000", "no000000000")
)
RETURN = f"D12345678202611211000{'return00000'}"


def scored(id_: str, at: dt.datetime, **more: str) -> dict[str, Any]:
    row = {"end_to_end_id": id_, "initiated_at": micros(at), "scored_at": micros(at), "amount": "1.00"}
    return row | {"decision": "APPROVE", "payer_ispb": "1", "payer_id": "payer", "payee_id": "payee"} | more


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("lookup")
    with local_bigquery(state, state) as local:
        make(local.client, "pix", contract.tables(), contract.views(PROJECT, "pix", 87))
        append(
            local,
            "score_events",
            SCORED | {"payer_id": TEXT, "payee_id": TEXT, "device_id": TEXT},
            [
                scored(NEAR, DAY + dt.timedelta(hours=11), side="PAYEE"),
                scored(NEAR, DAY, side="PAYER", device_id="device"),
                scored(FAR, NOW - dt.timedelta(days=200)),
                scored(OLD, NOW - dt.timedelta(days=FAR_DAYS + 2)),
            ],
        )
        said = {"end_to_end_id": NEAR, "side": "PAYER", "status": "RETURNED", "return_id": RETURN}
        at = {"at": micros(DAY + dt.timedelta(days=1)), "received_at": 0}
        append(local, "outcomes", SAID | {"return_id": TEXT}, [said | at, said | at | {"side": "PAYEE"}])
        append(local, "feedback", REPORTED, [reported(NEAR, 1, "PENDING"), reported(NEAR, 2, "FRAUD")])
        yield local


def append(local: LocalBigQuery, table: str, fields: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    writer = Writer(local.server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/{table}", fields)
    assert writer.append(rows) == ""
    writer.close()


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def lookup(local: LocalBigQuery, clock: Clock | None = None) -> BigQueryLookup:
    return BigQueryLookup(local.client, PROJECT, "pix", 30, clock or Clock())


def test_a_pix_of_both_sides_has_the_device_of_its_payer(local: LocalBigQuery) -> None:
    assert asyncio.run(lookup(local).parties([NEAR])) == {NEAR: Parties("payer", "payee", "device")}


def test_a_scheduled_pix_is_found_far_from_the_day_in_its_id_but_not_everywhere(local: LocalBigQuery) -> None:
    assert set(asyncio.run(lookup(local).parties([NEAR, FAR, OLD, NEVER]))) == {NEAR, FAR}


def test_an_id_that_was_not_found_is_searched_near_its_day_for_a_while(local: LocalBigQuery) -> None:
    clock, late = Clock(), NEVER.replace("no0", "no1")
    asked = lookup(local, clock)
    assert asyncio.run(asked.parties([late])) == {}
    append(
        local,
        "score_events",
        SCORED | {"payer_id": TEXT, "payee_id": TEXT},
        [scored(late, NOW - dt.timedelta(days=100))],
    )
    assert asyncio.run(asked.parties([late])) == {}
    clock.seconds += FAR_SECONDS
    assert set(asyncio.run(asked.parties([late]))) == {late}


def test_a_return_has_the_parties_of_its_pix_the_other_way_round(local: LocalBigQuery) -> None:
    other = RETURN.replace("return", "nobody")
    assert asyncio.run(lookup(local).parties([RETURN, other])) == {RETURN: Parties("payee", "payer", "device")}


def test_a_report_names_its_pix(local: LocalBigQuery) -> None:
    found = asyncio.run(lookup(local).reported([f"report on {NEAR}", "another"]))
    assert found == {f"report on {NEAR}": frozenset({NEAR})}
    assert asyncio.run(lookup(local).reported([])) == {}
