"""History on several shards loses nothing and counts nothing twice, whatever fails between their steps."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any, TypeVar

import numpy as np
import pytest
from redis import Redis

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.valkey.clients import Client, client
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.script import Script
from shared.adapters.valkey.store import ValkeyStore
from shared.adapters.valkey.wire import Argument, Keeping
from shared.contract.event import Event
from shared.contract.rows import OutcomeRow
from shared.errors import Unavailable
from shared.features.columns import Events
from shared.features.places import Place
from shared.features.verdicts import VERDICT_KEY
from shared.ports.history import Claim
from shared.serving.outcome_service import CountedOutcomes
from tests.contract.history_changes import state_of, verdict
from tests.contract.history_stores import SERVERS, SharedHistory, Store, store
from tests.contract.stored_records import assert_same_records, expected_records, stored_records
from tests.unit.served import NEVER_FORGOTTEN
from tests.unit.streams import MORNING, event, pseudonym

SHARDS = 3
CLAIM = Claim("v1", MORNING)
KEEPING = Keeping(9_000, 900, 86_400)
Result = TypeVar("Result")


class Failing:
    """A client whose calls fail now and then: before they are made, or after, so that the answer is lost.

    After the first failure it makes no calls, as its process has ended.
    """

    def __init__(self, inner: Client, chance: random.Random) -> None:
        self._inner, self._chance = inner, chance
        self._ended = False

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        fate = 0.0 if self._ended else self._chance.random()
        self._ended |= fate < 0.3
        if fate < 0.15:
            raise Unavailable("the call is lost")
        answer = await self._inner.run(script, keys, arguments)
        if self._ended:
            raise Unavailable("the answer is lost")
        return answer

    async def reach(self) -> None:
        await self._inner.reach()

    async def close(self) -> None:
        self._ended = True
        await self._inner.close()


class Instances:
    """Instances of a function, each of which ends at its first failure, and the places that they were given."""

    def __init__(self, url: str, seed: int) -> None:
        self._url, self.chance = url, random.Random(seed)
        self.places: set[int] = set()
        self.failures = 0

    async def until_done(self, work: Callable[[ValkeyHistory], Awaitable[Result]]) -> Result:
        """Return the result of the first instance that does not fail."""
        while True:
            history = ValkeyHistory(Failing(client(self._url, 1, 30), self.chance), KEEPING, SHARDS)
            try:
                result = await work(history)
                if self.chance.random() < 0.5:
                    with suppress(Unavailable):
                        await history.settle()
                return result
            except Unavailable:
                self.failures += 1
            finally:
                await history.store.close()

    def note(self, place: int | None, others: Sequence[int]) -> None:
        self.places |= {*others} | ({place} if place else set())


def pix_of(chance: random.Random, number: int) -> Event:
    """Return a Pix of few accounts, devices and persons, so that each has many."""
    device = chance.choice([None, pseudonym("device-a"), pseudonym("device-b"), pseudonym("device-c")])
    return event(
        pseudonym(f"payer-{chance.randrange(5)}"),
        pseudonym(f"payee-{chance.randrange(5)}"),
        number,
        chance.randrange(1, 90_000),
        device_id=device,
        device_registered=chance.choice([False, True]) if device else None,
        payee_person_id=pseudonym(f"person-{chance.randrange(3)}"),
    )


def settled(pix: Event) -> OutcomeRow:
    return OutcomeRow(pix.end_to_end_id, "PAYER", "SETTLED", pix.initiated_at, pix.initiated_at)


async def settle(history: SharedHistory, pix: Event) -> tuple[int | None, tuple[int, ...]]:
    """Count a settlement; return its places."""
    counted = await CountedOutcomes(history, NEVER_FORGOTTEN, lambda: 0).count([settled(pix)])
    if counted.errors:
        raise counted.errors[0]
    return counted.places[0], counted.visited[0]


async def judge(history: SharedHistory, pix: Event) -> tuple[int | None, tuple[int, ...]]:
    """Count a verdict, unless it is counted; return its places."""
    key = VERDICT_KEY + pix.end_to_end_id
    version, place = state_of((await history.find([key]))[0])
    if version:
        return place, (await history.visited([(key, place)]))[0]
    places, visited = await history.change(verdict(pix, True, 1))
    return int(places[0]), visited[0]


def assert_every_place_once(places: set[int]) -> None:
    """Assert that the places of each shard are its first ones, without a gap: each count belongs to a change."""
    parts: dict[int, list[int]] = {}
    for place in map(Place.of, sorted(places)):
        parts.setdefault(place.part, []).append(place.number)
    assert len(parts) >= SHARDS
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in parts.values())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(SERVERS[0], tmp_path_factory.mktemp("store"), SHARDS) as running:
        yield running


@pytest.mark.parametrize("seed", [1, 2])
def test_instances_that_end_at_any_point_lose_and_repeat_nothing(served: Store, seed: int) -> None:
    """The next instance, with the same message or another one about the Pix, finds what is left to do."""
    served.fresh()
    assert served.server
    url, memory = served.server.url, MemoryHistoryAdapter()
    instances = Instances(url, seed)

    async def stream() -> None:
        for number in range(120):
            pix = pix_of(instances.chance, number)
            seen = await instances.until_done(lambda history: history.observe(Events([pix]), CLAIM))  # noqa: B023 (called at once)
            expected = await memory.observe(Events([pix]), CLAIM)
            np.testing.assert_allclose(seen.reads, expected.reads, rtol=1.2e-7, atol=1e-7)
            instances.note(int(seen.sequence[0]), seen.visited[0])
            for tell, chosen in ((settle, number % 3), (judge, number % 5 == 0)):
                if chosen:
                    instances.note(*await instances.until_done(lambda history: tell(history, pix)))  # noqa: B023 (called at once)
                    await tell(memory, pix)

    served.run(stream())
    assert instances.failures > 100
    assert_every_place_once(instances.places)
    with closing(Redis.from_url(url)) as redis:
        assert_same_records(stored_records([redis], SHARDS), expected_records(memory.history))


def test_an_outcome_completes_the_visits_that_an_ask_still_owes(served: Store) -> None:
    """The instance ends before its first visit, and the message does not come again."""
    served.fresh()
    assert served.server
    url, memory = served.server.url, MemoryHistoryAdapter()
    batch = [pix_of(random.Random(number), number) for number in range(12)]

    class OnlyAsks(Failing):
        async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
            if arguments[0] != "observe":
                raise Unavailable("the instance has ended")
            return await self._inner.run(script, keys, arguments)

    async def scenario() -> int:
        owed = 0
        ended = ValkeyHistory(OnlyAsks(client(url, 1, 30), random.Random(1)), KEEPING, SHARDS)
        other = served.client()
        for pix in batch:
            try:
                await ended.observe(Events([pix]), CLAIM)
            except Unavailable:
                owed += 1
            await memory.observe(Events([pix]), CLAIM)
            await settle(other, pix)
            await settle(memory, pix)
        await ended.store.close()
        return owed

    assert served.run(scenario()) > len(batch) / 2, "the others have all their records at home"
    with closing(Redis.from_url(url)) as redis:
        assert_same_records(stored_records([redis], SHARDS), expected_records(memory.history))


def test_steps_and_entries_expire_once_they_are_needed_no_longer(served: Store) -> None:
    served.fresh()
    batch = [pix_of(random.Random(number), number) for number in range(12)]

    async def scenario() -> list[int]:
        history = served.client()
        await history.observe(Events(batch), CLAIM)
        history.stored((pix.end_to_end_id, pix.side) for pix in batch)
        await history.settle()
        names = [name async for name in served.redis.scan_iter(match="*}[ov]*", count=1_000)]
        return [await served.redis.ttl(name) for name in names]

    left = served.run(scenario())
    assert len(left) > len(batch)
    assert all(0 < seconds <= KEEPING.life for seconds in left)


def test_an_erasure_takes_what_shards_noted_about_a_pix(served: Store) -> None:
    history, batch = served.fresh(), [pix_of(random.Random(number), number) for number in range(12)]
    served.run(history.observe(Events(batch), CLAIM))
    for pix in batch:
        served.run(settle(history, pix))
    assert served.server
    with closing(ValkeyStore.connect(served.server.url, 86_400, SHARDS)) as load:
        ids = [pix.end_to_end_id for pix in batch]
        assert load.erase({}, np.empty(0, dtype=np.uint64), ids) > 2 * len(batch), "lives, and entries or steps"
    served.run(history.settle())
    names = served.run(served.redis.keys())
    assert not [name for name in names if any(id_.encode() in name for id_ in ids)]
