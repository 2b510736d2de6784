"""The desk's queries, in a local BigQuery and for Google's analyser."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, TypeVar

import pytest

from infra.deploy.migrate import make
from shared.adapters.bigquery.desk.rows import BigQueryDeskRows, BigQuerySurroundings
from shared.adapters.bigquery.desk.threads import SECONDS
from shared.adapters.bigquery.query import BigQueryQueries
from shared.contract import tables as contract
from shared.contract.event import micros
from shared.desk.records import CaseId, ReviewEvent
from shared.ports.tables import Parameter
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.rows import Field, Writer
from tests.notebooks import last_shown

Value = TypeVar("Value")

_KINDS = {
    "STRING": Field.TYPE_STRING,
    "NUMERIC": Field.TYPE_STRING,
    "BOOL": Field.TYPE_BOOL,
    "INT64": Field.TYPE_INT64,
    "TIMESTAMP": Field.TYPE_INT64,
    "DATE": Field.TYPE_INT32,
    "FLOAT64": Field.TYPE_DOUBLE,
}
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
SOON, PAST = NOW + dt.timedelta(minutes=20), NOW - dt.timedelta(minutes=1)
MULE, VICTIM = "mule", "victim"


def id_of(name: str, ago: dt.timedelta = dt.timedelta(minutes=10)) -> str:
    return f"E00000000{NOW - ago:%Y%m%d%H%M}{name:0>11}"


def scored(
    name: str, decision: str = "HOLD", ago: dt.timedelta = dt.timedelta(minutes=10), **more: Any
) -> dict[str, Any]:
    at = micros(NOW - ago)
    row = {
        "end_to_end_id": id_of(name, ago),
        "side": "PAYER",
        "initiated_at": at,
        "scored_at": at,
        "amount": "150.00",
    }
    row |= {"initiation_form": "DICT", "purpose": "IPAY", "payer_id": VICTIM, "payer_person_id": "person"}
    row |= {"payer_ispb": "1", "payee_id": MULE, "payee_ispb": "2", "decision": decision, "reasons": ["NIGHT_LIMIT"]}
    row |= {"late": False, "degraded": False, "hmac_key_version": 1, "score": 0.5, "f_new_pair": 1.0}
    return row | ({"hold_until": micros(SOON)} if decision in ("HOLD", "BLOCK") else {}) | more


def told(name: str, status: str) -> dict[str, Any]:
    at = micros(NOW)
    return {"end_to_end_id": id_of(name), "side": "PAYER", "status": status, "at": at, "received_at": at}


def reported(name: str, **more: Any) -> dict[str, Any]:
    at = micros(NOW)
    return {
        "source": "ANALYST",
        "report_id": name,
        "end_to_end_id": id_of(name),
        "reported_at": at,
        "received_at": at,
    } | more


def reviewed(name: str, event: str = "JUDGED", **more: Any) -> dict[str, Any]:
    row = {"review_id": f"desk-{name}", "end_to_end_id": id_of(name), "side": "PAYER", "event": event}
    return row | {"at": micros(NOW), "by_id": "ana", "verdict": "FRAUD"} | more


DAY = dt.timedelta(days=1)
ROWS = {
    "score_events": [
        scored("held"),
        scored("held", scored_at=micros(NOW), decision="APPROVE"),  # delivered again
        scored("blocked", "BLOCK", side="PAYEE"),
        *(scored(name) for name in ("settled", "refused", "reviewed", "judged")),
        scored("released", "BLOCK", side="PAYEE"),
        *(scored(name, hold_until=micros(PAST)) for name in ("over", "late", "early", "sent", "copied")),
        scored("copied", "APPROVE", scored_at=micros(NOW - dt.timedelta(hours=1))),  # the first decision, not stopped
        scored(
            "paid", "APPROVE", 3 * DAY, amount="900.00", device_id="phone", history_sequence=1, decided_sequence=2
        ),
        scored("onward", "APPROVE", 3 * DAY, payer_id=MULE, payee_id="cash", amount="800.00", decided_sequence=4),
        scored("long", "APPROVE", 200 * DAY),
    ],
    "outcomes": [
        told("settled", "SETTLED"),
        told("blocked", "SETTLED"),
        told("refused", "REJECTED"),
        told("released", "RELEASED"),
        told("sent", "SETTLED"),
    ],
    "feedback": [
        reported("reviewed", verdict="FRAUD"),
        reported("judged", report_id="desk-judged", verdict="FRAUD"),
        reported("late", verdict="FRAUD"),
        reported("early", report_id="desk-early", verdict="FRAUD", reported_at=micros(PAST)),
        reported("paid", source="MED", status="OPEN", end_to_end_id=id_of("paid", 3 * DAY)),
        reported("marker", source="FRAUD_MARKER", end_to_end_id=None, person_id="person", status="REGISTERED"),
    ],
    "reviews": [
        reviewed("held", "TAKEN", expires_at=micros(SOON), verdict=None),
        reviewed("judged", needs_agreement=True, seconds_taken=30, note="call unanswered"),
    ],
}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("desk")
    with local_bigquery(state, state) as local:
        make(local.client, "pix", contract.tables(), contract.views(PROJECT, "pix", 87))
        for table, rows in ROWS.items():
            append(local, table, rows)
        yield local


def append(local: LocalBigQuery, table: str, rows: list[dict[str, Any]]) -> None:
    fields = {each.name: (_KINDS[each.type], each.mode == "REPEATED") for each in contract.table(table).schema}
    writer = Writer(local.server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/{table}", fields)
    given = [{name: value for name, value in row.items() if value is not None} for row in rows]
    assert writer.append(given) == ""
    writer.close()


@pytest.fixture
def rows(local: LocalBigQuery) -> BigQueryDeskRows:
    return BigQueryDeskRows(BigQueryQueries(local.client, SECONDS), PROJECT, "pix")


@pytest.fixture
def past(local: LocalBigQuery) -> BigQuerySurroundings:
    return BigQuerySurroundings(BigQueryQueries(local.client, SECONDS), PROJECT, "pix", 87.0)


def run(work: Coroutine[Any, Any, Value]) -> Value:
    return asyncio.run(work)


def test_the_notebook_of_a_question_counts_them(local: LocalBigQuery, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"GOOGLE_CLOUD_PROJECT": PROJECT, **local.server.addresses}.items():
        monkeypatch.setenv(name, value)
    assert last_shown("question.ipynb") == {"stopped": 9, "reviewed": 4, "fraud": 4, "fraud_brl": 600.0}


def test_what_waits_is_held_or_blocked_in_time_without_an_outcome_and_another_tools_verdict(
    rows: BigQueryDeskRows,
) -> None:
    waiting = {pix.end_to_end_id: pix for pix in run(rows.waiting(NOW))}
    assert waiting.keys() == {id_of(name) for name in ("held", "blocked", "judged")}
    held = waiting[id_of("held")]
    assert (held.amount, held.decision, held.reasons, held.hold_until) == (15_000, "HOLD", ("NIGHT_LIMIT",), SOON)


def test_looks_of_a_minute_read_the_ends_once(local: LocalBigQuery) -> None:
    sent: list[str] = []

    class Counted(BigQueryQueries):
        def rows(self, sql: str, parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
            sent.append(sql)
            return super().rows(sql, parameters)

    async def looks() -> None:
        rows = BigQueryDeskRows(Counted(local.client, SECONDS), PROJECT, "pix")
        first, second = [{pix.case for pix in await rows.waiting(NOW)} for _ in range(2)]
        assert first == second
        assert first

    run(looks())
    assert sorted(".outcomes`" in sql for sql in sent) == [False, False, True]


def test_what_nothing_had_ended_by_its_deadline_is_overdue(rows: BigQueryDeskRows) -> None:
    overdue = {each.end_to_end_id: each for each in run(rows.overdue(PAST - DAY, NOW))}
    assert overdue.keys() == {id_of("over"), id_of("late")}
    over = overdue[id_of("over")]
    assert (over.side, over.decision, over.hold_until, over.reasons) == (
        "PAYER",
        "HOLD",
        micros(PAST),
        ["NIGHT_LIMIT"],
    )
    assert run(rows.overdue(PAST, NOW)) == []


def test_events_are_read_by_time_and_by_case(rows: BigQueryDeskRows) -> None:
    assert {each.event for each in run(rows.reviews(NOW - DAY))} == {ReviewEvent.TAKEN, ReviewEvent.JUDGED}
    assert run(rows.reviews(NOW + DAY)) == []
    (judged,) = run(rows.history(CaseId(id_of("judged"), "PAYER")))
    assert (judged.verdict, judged.needs_agreement, judged.note) == ("FRAUD", True, "call unanswered")
    assert run(rows.history(CaseId("E1", "PAYER"))) == []


def test_decisions_are_found_near_and_far_from_the_minute_of_their_id(rows: BigQueryDeskRows) -> None:
    cases = [CaseId(id_of("held"), "PAYER"), CaseId(id_of("long", 200 * DAY), "PAYER"), CaseId("E1", "PAYER")]
    assert {pix.case for pix in run(rows.decided(cases))} == set(cases[:2])
    assert run(rows.decided([CaseId(id_of("held"), "PAYEE")])) == []
    assert [pix.end_to_end_id for pix in run(rows.reviewed(NOW - DAY))] == [id_of("judged")]


def test_facts_have_the_features_as_served(rows: BigQueryDeskRows) -> None:
    facts = run(rows.facts(CaseId(id_of("held"), "PAYER")))
    assert facts
    assert (facts.payer_person_id, facts.payee_person_id, facts.features) == ("person", None, {"new_pair": 1.0})
    assert run(rows.facts(CaseId(id_of("none"), "PAYER"))) is None


def test_the_past_of_both_accounts_is_read(rows: BigQueryDeskRows, past: BigQuerySurroundings) -> None:
    (held,) = run(rows.decided([CaseId(id_of("held"), "PAYER")]))
    facts = run(rows.facts(held.case))
    assert facts
    (sent,) = run(past.sent(VICTIM, NOW - 30 * DAY, NOW - DAY))
    assert (sent.amount, sent.device_id, sent.decision) == (90_000, "phone", "APPROVE")
    assert [each.payee_id for each in run(past.received("cash", NOW - 30 * DAY, NOW))] == ["cash"]
    reports = {each.source: each for each in run(past.reports(held, facts, NOW - 30 * DAY))}
    assert (reports["MED"].of_payee, reports["MED"].status) == (True, "OPEN")
    assert (reports["FRAUD_MARKER"].of_payer, reports["FRAUD_MARKER"].of_payee) == (True, False)
    assert [each.case.end_to_end_id for each in run(past.earlier(held, NOW - 30 * DAY))] == [id_of("judged")]


def test_money_is_followed_from_a_pix_that_settled(past: BigQuerySurroundings) -> None:
    trace = run(past.money(id_of("paid", 3 * DAY)))
    assert trace
    assert [step.pix.payee_id for step in trace.steps] == [MULE, "cash"]
    assert run(past.money(id_of("held"))) is None
