"""Tracing money in a local BigQuery, as a command, and as SQL for Google's analyser."""

from __future__ import annotations

import datetime as dt
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs import trace
from shared.adapters.bigquery.query import BigQueryQueries
from shared.trace.graph import Span, TraceLimits
from shared.trace.source import TraceSource, TraceSql
from tests.contract.googlesql import check, columns
from tests.contract.local_servers import PROJECT
from tests.contract.rows import Field
from tests.contract.test_views import MATURITY_DAYS, REPORTED, SAID, SCORED, World, world

__all__ = ["world"]
START = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0) - dt.timedelta(days=10)
PIX = (
    SCORED
    | dict.fromkeys(("payer_id", "payee_id"), (Field.TYPE_STRING, False))
    | {"decided_sequence": (Field.TYPE_INT64, False)}
)
RETURNED = SAID | dict.fromkeys(("return_id", "amount"), (Field.TYPE_STRING, False))
ROOT, MULE, CASH, HELD, EARLY, RETURNED_PIX, BOTH, LATER, OTHER = (
    f"E00000000{START:%Y%m%d%H%M}{number:011}" for number in range(9)
)


def at(minute: float) -> int:
    return round((START + dt.timedelta(minutes=minute)).timestamp() * 1_000_000)


def pix(id_: str, payer: str, payee: str, amount: str, minute: float, **fields: Any) -> dict[str, Any]:
    row = {"end_to_end_id": id_, "initiated_at": at(minute), "scored_at": at(minute), "amount": amount}
    parties = {"payer_id": payer, "payee_id": payee, "decision": "APPROVE", "history_sequence": 1}
    return row | parties | fields


def said(id_: str, status: str, minute: float, **fields: str) -> dict[str, Any]:
    return {
        "end_to_end_id": id_,
        "side": "PAYER",
        "status": status,
        "at": at(minute),
        "received_at": at(minute),
    } | fields


@pytest.fixture(scope="module")
def tables(world: World) -> World:
    """A root, its way to cash, and Pix that are no part of it."""
    rows = [
        pix(ROOT, "victim", "mule", "1000.00", 0),
        pix(MULE, "mule", "second", "900.00", 10, decided_sequence=2),
        pix(CASH, "second", "cash", "800.00", 30),
        pix(HELD, "mule", "other", "700.00", 11, decision="HOLD"),
        pix(EARLY, "mule", "shop", "700.00", -5),
        pix(RETURNED_PIX, "mule", "shop", "700.00", 12),
        pix(BOTH, "cash", "end", "600.00", 40),
        pix(BOTH, "cash", "end", "600.00", 40, side="PAYEE", scored_at=at(41), decision="BLOCK"),
        pix(LATER, "cash", "end", "600.00", 200),
        pix(OTHER, "elsewhere", "end", "600.00", 20),
    ]
    world.append("score_events", PIX, rows)
    settled = [(ROOT, 0), (CASH, 31), (EARLY, -5), (RETURNED_PIX, 12), (BOTH, 41), (LATER, 200), (OTHER, 20)]
    outcomes = [said(id_, "SETTLED", minute) for id_, minute in settled] + [said(HELD, "EXPIRED", 70)]
    outcomes += [said(RETURNED_PIX, "RETURNED", 900, return_id="D1", amount="600.00")] * 2
    outcomes += [said(BOTH, "RETURNED", 900, return_id="D2", amount="100.00")]
    world.append("outcomes", RETURNED, outcomes)
    report = {"source": "MED", "report_id": "m1", "end_to_end_id": MULE, "verdict": "FRAUD", "hop": 2}
    closed = {"status": "CLOSED", "analysis_result": "AGREED", "reported_at": at(5000), "received_at": at(5000)}
    world.append("feedback", REPORTED, [report | closed])
    return world


@pytest.fixture
def run(
    tables: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, Any]]:
    """Run the job; return its exit code, its text and its result."""
    key = "a key of the tests that is long enough"
    environment = {"GOOGLE_CLOUD_PROJECT": PROJECT, "PIX_HMAC_KEY": key, **tables.server.addresses}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def job(*arguments: str) -> tuple[int, str, Any]:
        code = trace.main(list(arguments))
        shown, _, last = capsys.readouterr().out.rstrip("\n").rpartition("\n")
        return code, shown, json.loads(last)

    return job


def test_the_job_follows_settled_money_only(run: Callable[..., tuple[int, str, Any]], tmp_path: Path) -> None:
    pictures = ["--svg", str(tmp_path / "trace.svg"), "--dot", str(tmp_path / "trace.dot")]
    code, shown, found = run(ROOT, "--json", *pictures)
    assert (code, shown, found["outcome"], found["left_out"]) == (0, "", "TRACED", 0)
    steps = {step["end_to_end_id"]: step for step in found["steps"]}
    assert {id_: (step["hop"], step["amount"]) for id_, step in steps.items()} == {
        ROOT: (1, "1000.00"),
        MULE: (2, "900.00"),
        CASH: (3, "800.00"),
        BOTH: (4, "500.00"),
    }
    assert (steps[MULE]["verdict"], steps[CASH]["verdict"]) == ("FRAUD", None)
    assert (steps[CASH]["minutes_after_hop"], steps[BOTH]["decision"]) == (21.0, "APPROVE")
    assert ET.parse(tmp_path / "trace.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "trace.dot").read_text("utf-8").count("->") == 4


def test_a_tree_stands_before_the_result(run: Callable[..., tuple[int, str, Any]]) -> None:
    code, shown, found = run(ROOT, "--min-amount", "850")
    assert (code, found["transactions"], found["hops"]) == (0, 2, 2)
    assert "└─ R$ 900.00  mule → second" in shown
    assert "steps" not in found


def test_a_pix_that_did_not_settle_says_so(run: Callable[..., tuple[int, str, Any]]) -> None:
    code, _, found = run(HELD)
    assert (code, found["outcome"], found["decision"], found["life"]) == (0, "NOT_SETTLED", "HOLD", "EXPIRED")


@pytest.mark.parametrize("id_", ["E99999999202611101200aaaaaaaaaaa", "E99999999209913391200aaaaaaaaaaa", "no-id"])
def test_an_unknown_pix_is_refused(id_: str, run: Callable[..., tuple[int, str, Any]]) -> None:
    code, _, found = run(id_)
    assert (code, found["outcome"]) == (1, "FAILED")


def test_a_picture_that_cannot_be_written_fails(run: Callable[..., tuple[int, str, Any]], tmp_path: Path) -> None:
    code, _, found = run(ROOT, "--svg", str(tmp_path))
    assert code == 1
    assert "cannot be written" in found["reasons"][0]


def test_the_query_gives_what_each_account_sent_in_its_own_periods(tables: World) -> None:
    source = TraceSource(BigQueryQueries(tables.client), PROJECT, "pix", MATURITY_DAYS)
    spans = {"mule": [Span(at(0), at(11)), Span(at(12), at(13))], "cash": [Span(at(100), at(210))]}
    found = source.sent(spans, TraceLimits())
    assert {each.end_to_end_id for each in found} == {MULE, RETURNED_PIX, LATER}, "EARLY and BOTH are of other times"


@pytest.mark.parametrize("periods", [[1], [1, 3, 2]])
def test_the_statements_are_valid_googlesql(periods: list[int]) -> None:
    sql, count = TraceSql("bank", "pix", MATURITY_DAYS), len(periods)
    for statement in (sql.root(bounded=True), sql.root(bounded=False), sql.sent(periods), sql.verdicts(count)):
        check(statement)
    assert list(columns(sql.verdicts(count))) == ["end_to_end_id", "verdict"]
    assert "feedback" not in sql.sent(periods), "verdicts are read once, at the end"
    for statement in (sql.root(bounded=True), sql.sent(periods), sql.verdicts(count)):
        tables = re.findall(r"`bank\.pix\.(?!lost_places`)\w+`(?! WHERE )", statement)  # it has a row for each loss
        assert tables == [], "a table is read without a filter"
