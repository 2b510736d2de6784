"""The register of suspicions: what it takes, what it refuses, and its standing over time."""

from __future__ import annotations

import datetime as dt

import pytest

from shared.adapters.memory.suspicions import MemorySuspicions
from shared.contract import tables as contract
from shared.contract.rows import SuspicionRow
from shared.contract.suspicion import Suspicion, SuspicionState, suspicions
from shared.desk.errors import RecordRefused
from shared.desk.suspicions import Finding, SuspicionRegister
from shared.errors import Unavailable
from tests.unit.desk.world import NOW

ACCOUNT, OTHER, BY = "2" * 32, "3" * 32, "a" * 32
PIX = "PIX:E12345678202611201432a1b2c3d4e5f"
FOUND = Finding("three reports in a week", ("REPORT:r-1", PIX))
WEEK = dt.timedelta(days=7)


class Office:
    """A register with a clock."""

    def __init__(self) -> None:
        self.now = NOW
        self.rows = MemorySuspicions()
        self.register = SuspicionRegister(self.rows, BY, 2, lambda: self.now)

    def known(self, account: str | None = ACCOUNT) -> list[Suspicion]:
        return suspicions(self.rows.rows(account))


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_suspicion_is_recorded_with_finding_time_documents_and_author(office: Office) -> None:
    office.register.open(ACCOUNT, FOUND, WEEK)
    (row,) = office.rows.stored
    assert (row.event, row.account_id, row.by_id, row.hmac_key_version) == ("OPENED", ACCOUNT, BY, 2)
    assert (row.finding, row.documents) == (FOUND.text, FOUND.documents)
    assert office.known()[0].expires_at == NOW + WEEK


def test_it_stands_until_its_time_is_over(office: Office) -> None:
    found = office.register.open(ACCOUNT, FOUND, WEEK)
    moments = (NOW, NOW + WEEK - dt.timedelta(seconds=1), NOW + WEEK)
    assert [found.standing(each) for each in moments] == [*[SuspicionState.IN_FORCE] * 2, SuspicionState.EXPIRED]


def test_extending_and_lifting_add_rows_and_change_none(office: Office) -> None:
    office.register.open(ACCOUNT, FOUND, WEEK)
    before = list(office.rows.stored)
    office.now += dt.timedelta(days=5)
    office.register.extend(ACCOUNT, Finding("a fourth report", ("REPORT:r-2",)), WEEK)
    assert office.known()[0].expires_at == office.now + WEEK
    office.now += dt.timedelta(days=5)
    lifted = office.register.lift(ACCOUNT, Finding("reports taken back"))
    assert [row.event for row in lifted.rows] == ["OPENED", "EXTENDED", "LIFTED"]
    assert office.rows.stored[:1] == before
    assert office.known()[0].standing(office.now) is SuspicionState.LIFTED
    assert lifted.expires_at == office.now + dt.timedelta(days=2)


def test_a_second_suspicion_begins_only_after_the_first(office: Office) -> None:
    office.register.open(ACCOUNT, FOUND, WEEK)
    office.register.open(OTHER, FOUND, WEEK)
    with pytest.raises(RecordRefused):
        office.register.open(ACCOUNT, FOUND, WEEK)
    office.now += WEEK
    office.register.open(ACCOUNT, FOUND, WEEK)
    assert [each.standing(office.now) for each in office.known()] == [SuspicionState.EXPIRED, SuspicionState.IN_FORCE]
    assert len(office.known(None)) == 3


def test_nothing_in_force_can_be_extended_or_lifted(office: Office) -> None:
    with pytest.raises(RecordRefused):
        office.register.lift(ACCOUNT, FOUND)
    office.register.open(ACCOUNT, FOUND, WEEK)
    office.now += WEEK
    with pytest.raises(RecordRefused):
        office.register.extend(ACCOUNT, FOUND, WEEK)


@pytest.mark.parametrize(
    "finding",
    [
        Finding("three reports"),
        Finding(" ", FOUND.documents),
        Finding("x" * 501, FOUND.documents),
        Finding("João da Silva recebeu", FOUND.documents),
        Finding("CPF 123.456.789-09", FOUND.documents),
        Finding("three reports", ("REPORT:12345678909",)),
        Finding("three reports", ("PIX:E1",)),
        Finding("three reports", ("NAME:ana",)),
    ],
)
def test_a_record_without_documents_or_with_personal_data_is_refused(office: Office, finding: Finding) -> None:
    with pytest.raises(RecordRefused) as refused:
        office.register.open(ACCOUNT, finding, WEEK)
    assert office.rows.stored == []
    assert "Silva" not in str(refused.value)
    assert "123" not in str(refused.value)


def test_a_row_that_was_appended_twice_counts_once(office: Office) -> None:
    office.register.open(ACCOUNT, FOUND, WEEK)
    office.rows.append(office.rows.stored[0])
    assert len(office.known()[0].rows) == 1


def test_a_register_that_is_away_is_told(office: Office) -> None:
    office.rows.away = True
    with pytest.raises(Unavailable):
        office.register.open(ACCOUNT, FOUND, WEEK)


def test_a_row_has_the_columns_of_the_table() -> None:
    names = {column.name for column in contract.table("suspicions").schema}
    assert set(SuspicionRow.__struct_fields__) == names
