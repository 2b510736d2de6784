"""Erasing a person, over in-memory twins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from shared.adapters.memory.learning import MemoryQueries
from shared.adapters.memory.operations import MemoryHistoryStore
from shared.contract.pseudonyms import KEY, PERSON, Pseudonymiser
from shared.errors import Misconfigured, Unavailable
from shared.features.facts import handsets
from shared.features.keys import keys_of, pair_of
from shared.features.layout import ACCOUNT, CONTACT, DEVICE, HOLDER
from shared.features.verdicts import pix_key
from shared.operations.erasure import Erasure, Person, person_of
from tests.unit.streams import ACCOUNTS, DEVICES

PSEUDONYMISER = Pseudonymiser(b"a key of the tests")
PERSON_ID = "them"
ROW = {
    "end_to_end_id": "E1",
    "payer_person_id": PERSON_ID,
    "payer_id": ACCOUNTS[0],
    "payee_id": ACCOUNTS[1],
    "device_id": DEVICES[1],
}


class Tables:
    """One row of theirs; `statements` are the deletions in their order."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.queries = MemoryQueries(self._answer)

    def _answer(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        assert parameters["person"] == PERSON_ID
        if sql.startswith("DELETE"):
            self.statements.append(sql.split()[2])
            return []
        if sql.startswith("SELECT COUNT"):
            return [{"n": 1}]
        return [{"account": ROW["payer_id"]}] if sql.startswith("SELECT payer_id AS account") else [ROW]


def store() -> MemoryHistoryStore:
    """Return a store with their records and those of another account."""
    filled = MemoryHistoryStore()
    payer, payee, device = (keys_of([ROW[name]]) for name in ("payer_id", "payee_id", "device_id"))
    filled.records[ACCOUNT.kind] = {int(payer[0]), int(payee[0])}
    filled.records[CONTACT.kind] = {int(pair_of(payer, payee)[0]), int(handsets(device, payer)[0]), 7}
    filled.records[DEVICE.kind] = {int(device[0]), 9}
    filled.records[HOLDER.kind] = {int(key) for key in keys_of([PERSON_ID, "key", "another"])}
    filled.reports = {pix_key("E1"): b"", pix_key("E2"): b""}
    return filled


def test_their_records_and_rows_go_and_score_rows_last() -> None:
    tables, history = Tables(), store()
    found = Erasure(tables.queries, "bank.pix", Person(PERSON_ID, ("key",)), history).run(dry_run=False)
    assert found.records == len(("account", "pair", "handset", "device", "marked person", "marked key", "reports"))
    names = ("training_sample", "reviews", "feedback", "fills", "score_events")
    assert tables.statements == [f"`bank.pix.{name}`" for name in names]
    assert history.records[ACCOUNT.kind] == {int(keys_of([ACCOUNTS[1]])[0])}
    assert (history.records[CONTACT.kind], history.records[DEVICE.kind]) == ({7}, {9})
    assert history.records[HOLDER.kind] == {int(keys_of(["another"])[0])}
    assert set(history.reports) == {pix_key("E2")}


def test_a_dry_run_erases_nothing() -> None:
    tables, history = Tables(), store()
    found = Erasure(tables.queries, "bank.pix", Person(PERSON_ID, ("key",)), history).run(dry_run=True)
    assert (found.score_events, found.feedback, found.records, found.dry_run) == (1, 1, None, True)
    assert not tables.statements
    assert set(history.reports) == {pix_key("E1"), pix_key("E2")}


def test_an_unavailable_store_keeps_the_rows_that_identify_its_records() -> None:
    tables, history = Tables(), store()
    history.away = True
    with pytest.raises(Unavailable):
        Erasure(tables.queries, "bank.pix", Person(PERSON_ID, ("key",)), history).run(dry_run=False)
    assert not tables.statements


def test_a_tax_id_is_searched_as_a_key_too() -> None:
    person = person_of("12345678909", ["+5511999999999", "12345678909"], PSEUDONYMISER)
    pseudonym = PSEUDONYMISER.pseudonym
    assert person == Person(
        pseudonym(PERSON, "12345678909"), (pseudonym(KEY, "12345678909"), pseudonym(KEY, "+5511999999999"))
    )


@pytest.mark.parametrize(("tax_id", "keys"), [("123.456.789-09", []), ("", []), ("12345678909", ["9" * 78])])
def test_a_refusal_repeats_nothing_given(tax_id: str, keys: list[str]) -> None:
    with pytest.raises(Misconfigured, match="CPF of 11 digits") as refused:
        person_of(tax_id, keys, PSEUDONYMISER)
    assert not tax_id or tax_id not in str(refused.value)
    assert not any(key in str(refused.value) for key in keys)
