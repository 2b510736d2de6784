"""Erasure of a person, in a local BigQuery, in each store of history, and as SQL for Google's analyser."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from jobs import erase
from shared.adapters.bigquery.query import BigQueryQueries
from shared.adapters.valkey.store import ValkeyStore
from shared.contract.event import Event
from shared.contract.pseudonyms import KEY, PERSON, Pseudonymiser
from shared.features.columns import Events
from shared.features.history import READ_NAMES
from shared.features.outcomes import Outcome
from shared.operations.erasure import Erased, Erasure, ErasureSql, Person
from shared.ports.history import Claim
from tests.contract.googlesql import check
from tests.contract.history_changes import tell, verdict
from tests.contract.history_stores import SERVERS, Store, store
from tests.contract.local_servers import PROJECT
from tests.contract.rows import Field
from tests.contract.test_views import REPORTED, SCORED, World, reported, scored, world
from tests.unit.streams import DEVICES, event

__all__ = ["world"]
SECRET = "a key of the tests that is long enough"
TAX_ID, OTHER_TAX_ID, PHONE = "12345678909", "98765432100", "+5511999999999"
NAMES = ("payer_person_id", "payee_person_id", "payer_id", "payee_id", "payee_key_id", "device_id")
PARTIES = dict.fromkeys(NAMES, (Field.TYPE_STRING, False))
PLACE = f"{PROJECT}.pix"


def of(kind: bytes, text: str) -> str:
    return Pseudonymiser(SECRET.encode()).pseudonym(kind, text)


THEM, OTHER = of(PERSON, TAX_ID), of(PERSON, OTHER_TAX_ID)
PERSON_ONLY = Person(THEM, (of(KEY, TAX_ID),))
WITH_PHONE = Person(THEM, (of(KEY, TAX_ID), of(KEY, PHONE)))


def pix(payer: str, payer_id: str, payee_id: str, payee: str | None = None, key: str | None = None) -> dict[str, str]:
    found = {"payer_person_id": payer, "payer_id": payer_id, "payee_id": payee_id}
    return found | ({"payee_person_id": payee} if payee else {}) | ({"payee_key_id": of(KEY, key)} if key else {})


THEIRS = {
    "paid": pix(THEM, "current", "shop"),
    "received": pix(OTHER, "elsewhere", "savings", THEM),
    "received-by-cpf": pix(OTHER, "elsewhere", "wallet", key=TAX_ID),
    "received-in-an-account-that-paid": pix(OTHER, "elsewhere", "current"),
    "received-in-an-account-that-is-named": pix(OTHER, "elsewhere", "savings", key="an e-mail"),
    "received-in-an-account-of-the-cpf": pix(OTHER, "elsewhere", "wallet"),
}
BY_PHONE = {
    "received-by-phone": pix(OTHER, "elsewhere", "brokerage", key=PHONE),
    "received-in-the-account-of-the-phone": pix(OTHER, "elsewhere", "brokerage"),
}
FOREIGN = {
    "foreign": pix(OTHER, "elsewhere", "shop"),
    "foreign-by-cpf": pix(OTHER, "elsewhere", "market", key=OTHER_TAX_ID),
    "of-who-has-the-phone-now": pix(OTHER, "elsewhere", "another", OTHER, key=PHONE),
    "of-the-other-holder": pix(OTHER, "elsewhere", "savings", OTHER),
}


@pytest.fixture(scope="module")
def tables(world: World) -> World:
    for name, parties in {**THEIRS, **BY_PHONE, **FOREIGN}.items():
        world.append("score_events", SCORED | PARTIES, [scored(name, 3) | parties])
        world.append("feedback", REPORTED, [reported(name, 1, "FRAUD")])
    return world


def left(world: World, table: str) -> set[str]:
    rows = world.client.query(f"SELECT end_to_end_id FROM pix.{table}").result()
    return {row.end_to_end_id for row in rows} & {*THEIRS, *BY_PHONE, *FOREIGN}


def test_all_pix_of_the_person_are_erased_and_no_others(tables: World) -> None:
    queries = BigQueryQueries(tables.client)
    erasure = Erasure(queries, PLACE, PERSON_ONLY)
    everything = {*THEIRS, *BY_PHONE, *FOREIGN}
    counted = Erased(len(THEIRS), len(THEIRS), accounts=3, shared_accounts=1, records=None, dry_run=True)
    assert erasure.run(dry_run=True) == counted
    assert left(tables, "score_events") == left(tables, "feedback") == everything
    assert erasure.run(dry_run=False).score_events == len(THEIRS)
    assert left(tables, "score_events") == left(tables, "feedback") == {*BY_PHONE, *FOREIGN}
    assert erasure.run(dry_run=False).score_events == 0

    with_phone = Erasure(queries, PLACE, WITH_PHONE).run(dry_run=False)
    assert (with_phone.score_events, with_phone.accounts, with_phone.shared_accounts) == (2, 1, 0)
    assert left(tables, "score_events") == left(tables, "feedback") == set(FOREIGN)


class Rows:
    """Queries that answer the rows of a person, and record the tables of deletions."""

    def __init__(self, theirs: list[Event], person: str) -> None:
        self.rows_of_theirs = [
            {name: getattr(each, name) for name in ("end_to_end_id", "payer_id", "payee_id", "device_id")}
            | {"payer_person_id": person}
            for each in theirs
        ]
        self.deleted: list[str] = []

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        assert parameters["person"] == THEM
        if sql.startswith("DELETE"):
            self.deleted.append(sql.split()[2])
            return []
        if sql.startswith("SELECT COUNT"):
            return [{"n": len(self.rows_of_theirs)}]
        if sql.startswith("SELECT payer_id AS account"):
            return [{"account": each["payer_id"]} for each in self.rows_of_theirs]
        return self.rows_of_theirs


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(request.param, tmp_path_factory.mktemp("store")) as running:
        yield running


def test_records_of_the_person_leave_history_and_others_stay(served: Store) -> None:
    history, claim = served.fresh(), Claim("v1", 1)
    theirs, others = event(1, 2, 0, device_id=DEVICES[1]), event(3, 4, 1, device_id=DEVICES[2])
    served.run(history.observe(Events([theirs, others]), claim))
    served.run(tell(history, [(theirs, Outcome("SETTLED", theirs.initiated_at))]))
    served.run(history.change(verdict(theirs, True, 1)))
    queries = Rows([theirs], THEM)
    assert served.server
    with closing(ValkeyStore.connect(served.server.url, 86_400)) as load:
        erasure = Erasure(queries, PLACE, PERSON_ONLY, load)
        assert erasure.run(dry_run=True).records is None
        assert not queries.deleted
        found = erasure.run(dry_run=False)
        again = erasure.run(dry_run=False)
    assert found.records == len(("payer", "pair", "handset", "device", "life", "verdict"))
    assert again.records == 0
    tables = ("training_sample", "reviews", "feedback", "fills", "score_events")
    assert queries.deleted == [f"`{PLACE}.{table}`" for table in tables] * 2

    later = [event(1, 2, 90, device_id=DEVICES[1]), event(3, 4, 95, device_id=DEVICES[2])]
    reads = served.run(history.observe(Events(later), claim)).reads
    of_payer = np.nan_to_num(reads[:, [name.startswith("payer") for name in READ_NAMES]])
    assert of_payer.any(axis=1).tolist() == [False, True]


@pytest.mark.parametrize("keys", [1, 3])
def test_the_statements_are_valid_googlesql(keys: int) -> None:
    sql = ErasureSql("bank.pix", keys)
    for table in ("feedback", "fills", "score_events"):
        check(f"DELETE {sql.rows_of(table)}")
        check(f"SELECT COUNT(*) AS n {sql.rows_of(table)}")
    check(sql.accounts)
    check(f"SELECT COUNT(*) AS n {sql.shared}")


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give the job lines of standard input."""
    for name, value in {
        "GOOGLE_CLOUD_PROJECT": "bank",
        "PIX_HMAC_KEY": SECRET,
        "BIGQUERY_EMULATOR_HOST": "http://x",
    }.items():
        monkeypatch.setenv(name, value)
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.mark.parametrize("given", ["123.456.789-09", "1234567890", "", f"{TAX_ID}\n{'9' * 78}"])
def test_an_invalid_tax_id_or_key_is_refused_without_repeating_it(
    given: str, standard_input: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    standard_input(f"{given}\n")
    assert erase.main([]) == 1
    printed = "".join(capsys.readouterr())
    assert "CPF of 11 digits" in printed
    assert not given or given not in printed


def test_the_tax_id_counts_as_a_key_before_the_given_keys(
    standard_input: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    persons: list[Person] = []

    def run(erasure: Any, dry_run: bool) -> Erased:
        persons.append(erasure._person)
        return Erased(0, 0, 0, 0, None, dry_run)

    monkeypatch.setattr(Erasure, "run", run)
    standard_input(f"{TAX_ID}\n\n {PHONE} \n")
    assert erase.main(["--dry-run"]) == 0
    assert persons == [WITH_PHONE]
    assert json.loads(capsys.readouterr().out)["dry_run"] is True
