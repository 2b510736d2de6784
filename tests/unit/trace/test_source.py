"""The Pix of a trace by rows of tables, over the in-memory twin."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from shared.adapters.memory.learning import MemoryQueries
from shared.errors import Misconfigured, Unavailable
from shared.trace.flow import Trace
from shared.trace.graph import TraceLimits
from shared.trace.source import TraceSource, Untraced, settled_pix

START = dt.datetime(2026, 11, 20, 14, 32, tzinfo=dt.UTC)
ROOT, NEXT = "E12345678202611201432aaaaaaaaaaa", "E12345678202611201440aaaaaaaaaaa"
Row = dict[str, Any]


def row(id_: str, payer: str, payee: str, minute: float | None, **fields: object) -> Row:
    settled_at = None if minute is None else START + dt.timedelta(minutes=minute)
    known = {"amount": Decimal("500.00"), "returned_amount": None, "decision": "APPROVE", "outcome": "SETTLED"}
    parties = {"end_to_end_id": id_, "side": "PAYER", "payer_id": payer, "payee_id": payee}
    return {**parties, "settled_at": settled_at, **known, **fields}


def source(rows: list[Row], asked: list[Mapping[str, Any]] | None = None) -> TraceSource:
    """Return a source of these rows; `asked` collects the parameters of each query."""

    def answer(_sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        if asked is not None:
            asked.append(parameters)
        if "id_0" in parameters:
            return [{"end_to_end_id": NEXT, "verdict": "FRAUD"}]
        wanted = {parameters.get("end_to_end_id")} | {v for name, v in parameters.items() if "account" in name}
        return [each for each in rows if wanted & {each["end_to_end_id"], each["payer_id"]}]

    return TraceSource(MemoryQueries(answer), "bank", "pix", 87)


def test_a_trace_asks_once_a_hop_for_bounded_days_and_once_for_verdicts() -> None:
    asked: list[Mapping[str, Any]] = []
    rows = [row(ROOT, "victim", "mule", 0), row(NEXT, "mule", "second", 8)]
    trace = source(rows, asked).trace(ROOT, TraceLimits())
    assert isinstance(trace, Trace)
    assert [(step.pix.end_to_end_id, step.pix.verdict) for step in trace.steps] == [(ROOT, None), (NEXT, "FRAUD")]
    root, first, second, _verdicts = asked
    assert (root["since"], root["until"]) == (START - dt.timedelta(hours=12), START + dt.timedelta(hours=12))
    assert (first["account_0"], second["account_0"], first["amount_min"]) == ("mule", "second", "200.00")
    assert (first["money_since"], first["until"]) == (START, START + dt.timedelta(hours=2))
    assert (second["since_0"], second["until_0"]) == tuple(START + dt.timedelta(minutes=m) for m in (8, 128))


def test_a_root_of_another_day_is_found_too() -> None:
    def answer(_sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        return [] if "since" in parameters else [row(ROOT, "victim", "mule", 0)]

    assert isinstance(TraceSource(MemoryQueries(answer), "bank", "pix", 87).trace(ROOT, TraceLimits()), Trace)


def test_a_root_that_moved_no_money_is_not_traced() -> None:
    unsettled = row(ROOT, "victim", "mule", None, decision="HOLD", outcome=None)
    assert source([unsettled]).trace(ROOT, TraceLimits()) == Untraced("NOT_SETTLED", "HOLD", None)
    returned = row(ROOT, "victim", "mule", 0, returned_amount=Decimal("500.00"))
    assert source([returned]).trace(ROOT, TraceLimits()) == Untraced("RETURNED", "APPROVE", "RETURNED")


def test_an_unknown_pix_is_refused() -> None:
    with pytest.raises(Misconfigured, match=f"no Pix {ROOT}"):
        source([]).trace(ROOT, TraceLimits())
    with pytest.raises(Misconfigured, match="an EndToEndId is"):
        source([]).trace("12345678909", TraceLimits())


def test_tables_that_are_away_stop_the_trace() -> None:
    queries = MemoryQueries(lambda _sql, _parameters: [])
    queries.away = True
    with pytest.raises(Unavailable):
        TraceSource(queries, "bank", "pix", 87).trace(ROOT, TraceLimits())


def test_both_sides_of_a_pix_are_one() -> None:
    payees = row(ROOT, "victim", "mule", 0, side="PAYEE", decision="BLOCK", returned_amount=Decimal("20.01"))
    payers = row(ROOT, "victim", "mule", 0)
    for rows in ([payees, payers], [payers, payees]):
        [pix] = settled_pix(rows)
        assert (pix.decision, pix.amount, pix.returned, pix.net) == ("APPROVE", 50_000, 2_001, 47_999)
