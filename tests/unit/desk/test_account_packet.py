"""The record of suspicions about an account has what the norm asks, and nothing that runs or names a person."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from shared import yaml_file
from shared.adapters.memory.desk import MemorySurroundings
from shared.contract.suspicion import SuspicionEvent, SuspicionState
from shared.desk.documents import KINDS
from shared.desk.errors import NoSuchCase
from shared.desk.packet.account import AccountPacket, account_packet
from shared.desk.packet.render import account_html
from shared.desk.packet.words import packet_words
from shared.desk.records import Payment
from shared.desk.suspicions import Finding
from tests.unit.desk.documents import outside_resources, section
from tests.unit.desk.test_suspicions import ACCOUNT, FOUND, WEEK, Office
from tests.unit.desk.test_web import SCRIPT
from tests.unit.desk.world import NOW, run

ASKED = yaml_file.read(Path(__file__).with_name("norms.yaml"))
DAY = dt.timedelta(days=1)


def paid(id_: str, at: dt.datetime, decision: str = "REJECT") -> Payment:
    return Payment(id_, at, 7_000, decision, "8" * 32, ACCOUNT)


@pytest.fixture
def office() -> Office:
    office = Office()
    office.register.open(ACCOUNT, FOUND, WEEK)
    office.now += 5 * DAY
    office.register.extend(ACCOUNT, Finding("a fourth report", ("REPORT:r-2",)), WEEK)
    return office


@pytest.fixture
def past() -> MemorySurroundings:
    past = MemorySurroundings()
    past.payments = [
        paid("E6", NOW - DAY),
        paid("E7", NOW + DAY),
        paid("E8", NOW + 2 * DAY, "APPROVE"),
    ]
    return past


def packet(office: Office, past: MemorySurroundings) -> AccountPacket:
    return run(account_packet(ACCOUNT, office.rows.rows(ACCOUNT), past, office.now))


@pytest.mark.parametrize("item", ASKED["account"], ids=lambda item: f"{item['norm']}: {item['asks']}")
def test_the_record_has_what_a_norm_asks(office: Office, past: MemorySurroundings, item: dict[str, Any]) -> None:
    found = section(account_html(packet(office, past)), item["section"])
    assert [each for each in item["shows"] if each not in found] == []


def test_the_record_runs_and_loads_nothing(office: Office, past: MemorySurroundings) -> None:
    assert outside_resources(account_html(packet(office, past))) == []


def test_stopped_pix_count_while_a_suspicion_was_in_force(office: Office, past: MemorySurroundings) -> None:
    office.register.lift(ACCOUNT, Finding("reports taken back"))
    lifted_at = office.now
    office.now += 2 * DAY
    past.payments.append(paid("E9", lifted_at + DAY))
    found = packet(office, past)
    assert [each.end_to_end_id for each in found.stopped] == ["E7"]
    assert found.standing is SuspicionState.LIFTED
    html = account_html(found)
    assert "levantada" in section(html, "account")
    assert "Levantada em 25/11/2026 12:00" in section(html, "findings")
    assert "8" * 32 not in html


def test_each_suspicion_of_an_account_is_told(office: Office, past: MemorySurroundings) -> None:
    office.now += 10 * DAY
    office.register.open(ACCOUNT, Finding("seen again", ("MARKER:m-1", "RECOVERY:f-1")), WEEK)
    found = section(account_html(packet(office, past)), "findings")
    for text in ("encerrada pelo prazo", "em vigor", "marcação de fraude m-1", "recuperação de valores f-1"):
        assert text in found


def test_a_script_in_a_finding_shows_as_text(past: MemorySurroundings) -> None:
    office = Office()
    office.register.open(ACCOUNT, Finding(SCRIPT, FOUND.documents), WEEK)
    html = account_html(packet(office, past))
    assert SCRIPT not in html
    assert "alert(1)" in section(html, "findings")


def test_an_account_without_a_suspicion_has_no_record(past: MemorySurroundings) -> None:
    with pytest.raises(NoSuchCase):
        packet(Office(), past)


def test_words_cover_documents_events_and_standings() -> None:
    words = packet_words()
    assert words.documents.keys() == set(KINDS)
    assert words.events.keys() == set(SuspicionEvent)
    assert words.standings.keys() == set(SuspicionState)
