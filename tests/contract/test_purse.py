"""The purse of the control group, in memory and on servers: its caps, one spend a ticket, the turn of its periods."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from shared.adapters.memory.purse import MemoryPurse
from shared.adapters.valkey.clients import client
from shared.adapters.valkey.purse import TAG, ValkeyPurse
from shared.contract.event import micros
from shared.errors import Unavailable
from shared.scoring.purse import Caps, Paid, Purse, Spend
from tests.contract.history_stores import PATIENT, SERVERS, Store, store
from tests.contract.valkey_cluster import cluster

NOON = micros(dt.datetime(2026, 11, 30, 15, tzinfo=dt.UTC))
HOUR = 3_600_000_000
CAPS = Caps(100_00, 150_00)
_TICKET_SECONDS = 900


@dataclass
class Spending:
    """A purse, in the loop of its store."""

    store: Store
    purse: Purse

    def __call__(self, *spends: Spend, caps: Caps = CAPS, at: int = NOON) -> Paid:
        return self.store.run(self.purse.spend(spends, caps, at))


@pytest.fixture(params=["memory", *SERVERS], scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(request.param, tmp_path_factory.mktemp("purse")) as handle:
        yield handle


@pytest.fixture
def spend(running: Store) -> Spending:
    if running.server is None:
        return Spending(running, MemoryPurse())
    running.empty()
    return Spending(running, ValkeyPurse(running.client().store, _TICKET_SECONDS))


def of(ticket: str, cost: int, again: bool = False) -> Spend:
    return Spend(ticket, cost, again)


def test_spends_are_paid_in_order_as_far_as_the_day_has_room(spend: Spending) -> None:
    assert spend(of("a", 60_00), of("b", 50_00), of("c", 40_00)) == Paid([True, False, True], 0)
    assert spend(of("d", 1)) == Paid([False], 0)
    assert spend(of("free", 0)) == Paid([True], 0)


def test_a_ticket_is_paid_once_and_again_without_being_spent(spend: Spending) -> None:
    assert spend(of("a", 60_00)) == Paid([True], 40_00)
    assert spend(of("a", 60_00), of("a", 60_00, again=True)) == Paid([True, True], 40_00)
    assert spend(of("b", 30_00), of("b", 30_00)) == Paid([True, True], 10_00)
    assert spend(of("a", 60_00, again=True), caps=Caps(0, 0)) == Paid([True], 0)


def test_a_pix_that_was_not_paid_at_first_is_not_paid_later(spend: Spending) -> None:
    assert spend(of("a", 10_00, again=True)) == Paid([False], 100_00)
    assert spend(of("a", 10_00)) == Paid([True], 90_00)


def test_without_spends_it_tells_what_is_left(spend: Spending) -> None:
    assert spend() == Paid([], 100_00)
    spend(of("a", 25_00))
    assert spend() == Paid([], 75_00)
    assert spend(caps=Caps(20_00, 150_00)) == Paid([], 0)


def test_caps_lowered_below_what_was_spent_stop_all_that_costs_until_they_are_raised(
    spend: Spending,
) -> None:
    assert spend(of("a", 90_00)) == Paid([True], 10_00)
    lowered = Caps(50_00, 60_00)
    assert spend(of("b", 1), of("free", 0), of("a", 90_00, again=True), caps=lowered) == Paid([False, True, True], 0)
    assert spend(of("b", 20_00), caps=Caps(120_00, 200_00)) == Paid([True], 10_00)


def test_a_day_turns_at_local_midnight_and_the_month_goes_on(spend: Spending) -> None:
    before = NOON - 24 * HOUR
    assert spend(of("a", 100_00), at=before) == Paid([True], 0)
    assert spend(of("b", 1), at=before + 11 * HOUR) == Paid([False], 0)
    assert spend(of("b", 40_00), at=before + 12 * HOUR) == Paid([True], 10_00), "the month has 10.00 left"
    assert spend(of("a", 100_00, again=True)) == Paid([True], 10_00), "a ticket outlives its day"


def test_a_month_turns_at_local_midnight(spend: Spending) -> None:
    caps = Caps(100_00, 100_00)
    assert spend(of("a", 90_00), caps=caps) == Paid([True], 10_00)
    assert spend(of("b", 90_00), caps=caps, at=NOON + 11 * HOUR) == Paid([False], 10_00)
    assert spend(of("b", 90_00), caps=caps, at=NOON + 12 * HOUR) == Paid([True], 10_00)


@pytest.mark.parametrize("running", SERVERS, indirect=True)
def test_instances_share_it_and_its_keys_expire(running: Store) -> None:
    running.empty()
    one, other = (Spending(running, ValkeyPurse(running.client().store, _TICKET_SECONDS)) for _ in range(2))
    assert one(of("a", 60_00)) == Paid([True], 40_00)
    assert other(of("b", 60_00), of("a", 60_00, again=True)) == Paid([False, True], 40_00)
    names = ("2026-11-30", "2026-11", ":a")
    assert running.run(running.redis.dbsize()) == len(names)
    seconds = {name: running.run(running.redis.ttl(TAG + name)) for name in names}
    assert 0 < seconds[":a"] <= _TICKET_SECONDS
    assert 86_400 < seconds["2026-11-30"] < 31 * 86_400 < seconds["2026-11"]


def test_a_server_that_is_away_is_unavailable() -> None:
    purse = ValkeyPurse(client("valkey://127.0.0.1:1", 0.2, 0.2), _TICKET_SECONDS)
    with pytest.raises(Unavailable):
        asyncio.run(purse.spend([], CAPS, NOON))


def test_a_cluster_keeps_it_on_one_primary(tmp_path_factory: pytest.TempPathFactory) -> None:
    async def scenario(url: str) -> list[Paid]:
        calls = client(url, 1.0, PATIENT)
        purse = ValkeyPurse(calls, _TICKET_SECONDS)
        try:
            return [await purse.spend([of(ticket, 60_00)], CAPS, NOON) for ticket in ("a", "b", "a")]
        finally:
            await calls.close()

    with cluster(SERVERS[0], tmp_path_factory.mktemp("cluster")) as nodes:
        assert asyncio.run(scenario(nodes.url)) == [Paid([True], 40_00), Paid([False], 40_00), Paid([True], 40_00)]
