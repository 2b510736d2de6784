"""The lookup of the outcome function finds a Pix by its id, with the outcomes since then."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from infra.deploy.migrate import make
from shared.adapters.bigquery.asked import BigQueryAsked
from shared.contract import tables as contract
from shared.contract.event import micros
from shared.features.outcomes import Outcome
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.test_lookup import DAY, TEXT, append, scored
from tests.contract.test_views import SAID, SCORED

PAID, ALONE, NEVER = (f"E12345678202611201432{name}" for name in ("paid0000000", "alone000000", "never000000"))
LATER = DAY + dt.timedelta(days=9)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("asked")
    with local_bigquery(state, state) as local:
        make(local.client, "pix", contract.tables(), contract.views(PROJECT, "pix", 87))
        append(
            local,
            "score_events",
            SCORED | {"payer_id": TEXT, "payee_id": TEXT},
            [scored(PAID, DAY, side="PAYER"), scored(PAID, DAY, side="PAYEE"), scored(ALONE, DAY, side="PAYER")],
        )
        rows = [said("SETTLED", DAY), said("BLOCKED", LATER), said("SETTLED", DAY - dt.timedelta(days=40))]
        append(local, "outcomes", SAID, rows)
        yield local


def said(status: str, at: dt.datetime) -> dict[str, Any]:
    return {"end_to_end_id": PAID, "side": "PAYEE", "status": status, "at": micros(at), "received_at": micros(at)}


def asked(local: LocalBigQuery) -> BigQueryAsked:
    return BigQueryAsked(local.client, PROJECT, "pix", 30)


def test_a_pix_is_found_with_its_sides_and_the_outcomes_since_it_was_asked_for(local: LocalBigQuery) -> None:
    found = asyncio.run(asked(local).asked([PAID, ALONE, NEVER]))
    assert set(found) == {PAID, ALONE}
    assert found[PAID].event.end_to_end_id == PAID
    assert {side for side, _, _ in found[PAID].decisions} == {"PAYER", "PAYEE"}
    outcomes = [outcome for outcome, _ in found[PAID].outcomes]
    assert outcomes == [Outcome("SETTLED", micros(DAY)), Outcome("BLOCKED", micros(LATER))]
    assert found[ALONE].outcomes == ()


def test_without_any_pix_no_outcomes_are_read(local: LocalBigQuery) -> None:
    assert asyncio.run(asked(local).asked([NEVER])) == {}
    assert asyncio.run(asked(local).asked([])) == {}
