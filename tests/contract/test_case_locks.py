"""The locks of cases, in memory and on servers: one holder at a time, also when many ask at once; they expire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from shared.adapters.memory.desk import MemoryCaseLocks
from shared.adapters.valkey.clients import client
from shared.adapters.valkey.locks import ValkeyCaseLocks
from shared.desk.ports import CaseLocks
from shared.desk.records import CaseId
from shared.errors import Unavailable
from tests.contract.history_stores import SERVERS, Store, store
from tests.waiting import until

CASE, OTHER = CaseId("E1", "PAYER"), CaseId("E1", "PAYEE")
LONG, SHORT = 3_600.0, 0.05


class Held:
    """Locks, in the loop of their store."""

    def __init__(self, running: Store, locks: CaseLocks) -> None:
        self._running, self.locks = running, locks

    def take(self, holder: str, seconds: float = LONG, case: CaseId = CASE) -> str:
        return self._running.run(self.locks.take(case, holder, seconds))

    def take_at_once(self, holders: list[str]) -> list[str]:
        async def all_of_them() -> list[str]:
            return await asyncio.gather(*(self.locks.take(CASE, each, LONG) for each in holders))

        return self._running.run(all_of_them())

    def release(self, holder: str) -> None:
        self._running.run(self.locks.release(CASE, holder))

    def holders(self) -> dict[CaseId, str]:
        return dict(self._running.run(self.locks.holders([CASE, OTHER])))


@pytest.fixture(params=["memory", *SERVERS], scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(request.param, tmp_path_factory.mktemp("locks")) as handle:
        yield handle


@pytest.fixture
def held(running: Store) -> Held:
    if running.server is None:
        return Held(running, MemoryCaseLocks())
    running.empty()
    return Held(running, ValkeyCaseLocks(running.client().store))


def test_a_case_has_one_holder(held: Held) -> None:
    assert (held.take("ana"), held.take("bia"), held.take("ana")) == ("ana", "ana", "ana")
    assert held.take("bia", case=OTHER) == "bia"
    assert held.holders() == {CASE: "ana", OTHER: "bia"}


def test_many_who_ask_at_once_hear_of_one_holder(held: Held) -> None:
    assert len(set(held.take_at_once([f"analyst {number}" for number in range(50)]))) == 1


def test_only_the_holder_releases_a_case(held: Held) -> None:
    held.take("ana")
    held.release("bia")
    assert held.holders() == {CASE: "ana"}
    held.release("ana")
    assert held.holders() == {}
    assert held.take("bia") == "bia"


def test_a_lock_expires(held: Held) -> None:
    held.take("ana", SHORT)
    until(lambda: held.take("bia") == "bia")


def test_a_store_that_is_away_is_told() -> None:
    locks = ValkeyCaseLocks(client("redis://127.0.0.1:1", 0.1, 0.1))
    with pytest.raises(Unavailable):
        asyncio.run(locks.take(CASE, "ana", LONG))
