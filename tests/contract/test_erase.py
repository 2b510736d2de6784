"""Erasing a person, on a BigQuery that runs, and as Google's analyser reads it."""

from __future__ import annotations

import io

import pytest

from jobs import erase
from shared.adapters.bigquery_query import BigQueryQueries
from shared.privacy import PERSON, Pseudonymiser
from tests.contract.googlesql import check
from tests.contract.local_servers import PROJECT
from tests.contract.rows import Field
from tests.contract.test_views import REPORTED, SCORED, World, reported, scored, world

__all__ = ["world"]
KEY, TAX_ID = "a key of the tests", "12345678909"
PERSONS = dict.fromkeys(("payer_person_id", "payee_person_id"), (Field.TYPE_STRING, False))


@pytest.fixture(scope="module")
def person(world: World) -> str:
    """Let a person pay one Pix, receive another, and have nothing to do with a third; each is reported."""
    theirs, other = (Pseudonymiser(KEY.encode()).pseudonym(PERSON, each) for each in (TAX_ID, "98765432100"))
    parties = {"paid": (theirs, other), "received": (other, theirs), "foreign": (other, other)}
    for name, (payer, payee) in parties.items():
        row = scored(name, 3) | {"payer_person_id": payer, "payee_person_id": payee}
        world.append("score_events", SCORED | PERSONS, [row])
        world.append("feedback", REPORTED, [reported(name, 1, "FRAUD")])
    return theirs


def left(world: World, table: str) -> set[str]:
    rows = world.client.query(f"SELECT end_to_end_id FROM pix.{table}").result()
    return {row.end_to_end_id for row in rows}


def test_a_dry_run_counts_and_a_run_erases_that_person_alone(world: World, person: str) -> None:
    erasure = erase.Erasure(BigQueryQueries(world.client), PROJECT, "pix", person)
    before = {table: left(world, table) for table in ("score_events", "feedback")}
    assert erasure.run(dry_run=True) == erase.Erased(score_events=2, feedback=2, dry_run=True)
    assert {table: left(world, table) for table in before} == before
    assert erasure.run(dry_run=False) == erase.Erased(score_events=2, feedback=2, dry_run=False)
    assert {table: left(world, table) for table in before} == {
        table: ids - {"paid", "received"} for table, ids in before.items()
    }
    assert erasure.run(dry_run=False).score_events == 0


@pytest.mark.parametrize("table", ["feedback", "score_events"])
@pytest.mark.parametrize("verb", ["DELETE", "SELECT COUNT(*) AS n"])
def test_google_reads_it(verb: str, table: str) -> None:
    check(f"{verb} {erase.rows_of('bank.pix', table)}")


@pytest.mark.parametrize("given", ["123.456.789-09", "1234567890", ""])
def test_what_is_no_tax_id_is_refused_without_being_repeated(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "GOOGLE_CLOUD_PROJECT": "bank",
        "PIX_HMAC_KEY": KEY,
        "BIGQUERY_EMULATOR_HOST": "http://x",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{given}\n"))
    assert erase.main([]) == 1
    said = "".join(capsys.readouterr())
    assert "CPF of 11 digits" in said
    assert not given or given not in said
