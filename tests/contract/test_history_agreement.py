"""A server's history equals memory's, whatever is asked and told, in any order, on one shard and on three."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.contract.event import Event
from shared.features.columns import SIDES, Events
from shared.features.life import LIFE, Lives, claims_at, life_of, returns_of
from shared.features.outcomes import Outcome
from shared.features.places import Place
from shared.features.verdicts import MARKER_KEY, VERDICT_KEY
from shared.ports.history import Changes, Claim, Observations
from shared.scoring.conclusions import Conclusions
from shared.settings import ASSUMED
from tests.contract.history_changes import life_key, marker, outcome_changes, state_of, verdict
from tests.contract.history_stores import SERVERS, SharedHistory, Store, store
from tests.unit.streams import ACCOUNTS, DEVICES, MORNING, event, pseudonym

SECOND, HOUR = 1_000_000, 3600
PERSONS = [pseudonym(f"person-{i}") for i in range(2)]
KEYS = [None, pseudonym("key-0")]
FIRST, LATER = Claim("v1", MORNING + HOUR * SECOND), Claim(None, MORNING + 2 * HOUR * SECOND, 2)
# Local noon and midnight are 4 and 16 hours after the morning; many asks share a second, or come late,
# and after 2250 hours a contact is forgotten, but not so long that the store removes what a late Pix may still read.
TIMES = st.sampled_from([0, 0, 1, 60, 3 * HOUR, 5 * HOUR, 15 * HOUR, 17 * HOUR, 29 * HOUR, 900 * HOUR, 2250 * HOUR])
STATUSES = ["SETTLED", "SETTLED", "REJECTED", "CANCELLED", "RETURNED", "RETURNED", "BLOCKED", "RELEASED"]
places = st.integers(0, len(ACCOUNTS) - 1)


@pytest.fixture(scope="module", params=[*((kind, 1) for kind in SERVERS), (SERVERS[0], 3)], ids=str)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    kind, shards = request.param
    with store(kind, tmp_path_factory.mktemp("store"), shards) as running:
        yield running


@st.composite
def asks(draw: st.DrawFn) -> Event:
    """Draw a Pix; one account of five is hot, and payer and payee may be the same."""
    device = draw(st.sampled_from(DEVICES))
    pix = event(
        draw(places),
        draw(st.one_of(st.just(1), places)),
        draw(TIMES),
        draw(st.integers(1, 100_000)),
        device_id=device,
        device_registered=draw(st.sampled_from([None, False, True])) if device else None,
        payer_person_id=draw(st.sampled_from(PERSONS)),
        payee_person_id=draw(st.sampled_from([None, *PERSONS])),
        payee_key_id=draw(st.sampled_from(KEYS)),
        side=draw(st.sampled_from(SIDES)),
    )
    if draw(st.integers(0, 9)):
        return pix
    return msgspec.structs.replace(pix, end_to_end_id="D" + pix.end_to_end_id[1:])


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    status, at = draw(st.sampled_from(STATUSES)), MORNING + draw(TIMES) * SECOND
    if status != "RETURNED":
        return Outcome(status, at)
    return Outcome(status, at, draw(st.sampled_from(["D1", "D2", "D3"])), draw(st.integers(1, 60_000)))


_any = st.integers(0, 50)
_decisions = st.sampled_from(["APPROVE", "APPROVE", "HOLD", "REJECT", None])
_steps = st.one_of(
    st.tuples(st.just("ask"), st.lists(st.tuples(asks(), _decisions), min_size=1, max_size=8)),
    st.tuples(st.just("repeat"), st.lists(st.tuples(_any, st.sampled_from(SIDES)), min_size=1, max_size=4)),
    st.tuples(st.just("tell"), st.lists(st.tuples(_any, outcomes()), min_size=1, max_size=6)),
    st.tuples(st.just("judge"), st.tuples(_any, st.booleans(), st.sampled_from([0, 1, 30, 2000]))),
    st.tuples(st.just("mark"), st.tuples(st.sampled_from([*PERSONS, KEYS[1]]), st.sampled_from(["r0", "r1"]))),
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(_steps, max_size=14))
def test_a_server_equals_memory(served: Store, steps: list[tuple[str, Any]]) -> None:
    """Reads agree to one unit in the last place of float32; sums that cancel, to 1e-7."""
    pair = Both(served, served.fresh(), MemoryHistoryAdapter())
    seen: list[Event] = []
    for step, given_ in steps:
        if step == "ask":
            seen += [pix for pix, _ in given_]
            for batch in pair.calls([*given_, given_[0]]):
                pair.decide(batch)
        elif step == "mark":
            pair.judge(MARKER_KEY + given_[1], partial(marker, *given_))
        elif not seen:
            continue
        elif step == "repeat":
            again = [msgspec.structs.replace(seen[i % len(seen)], side=side) for i, side in given_]
            for repeated in pair.calls(again):
                pair.observe(repeated, LATER)
        elif step == "tell":
            for told in pair.calls([(seen[i % len(seen)], outcome) for i, outcome in given_]):
                pair.tell(told)
        else:
            i, fraud, hours = given_
            pix = seen[i % len(seen)]
            pair.judge(VERDICT_KEY + pix.end_to_end_id, partial(verdict, pix, fraud, hours))


Item = TypeVar("Item")


class Both:
    """A server's history and memory's, asked and told the same."""

    def __init__(self, served: Store, history: SharedHistory, memory: MemoryHistoryAdapter) -> None:
        self.served, self.history, self.memory = served, history, memory

    def calls(self, items: list[Item]) -> list[list[Item]]:
        """Return the items of each call: one with several shards, which count those of a call in another order."""
        return [items] if self.served.shards == 1 else [[item] for item in items]

    def observe(self, batch: list[Event], claim: Claim) -> tuple[Observations, Observations]:
        found = self.served.run(self.history.observe(Events(batch), claim))
        self._join_epoch(found.sequence)
        expected = self.served.run(self.memory.observe(Events(batch), claim))
        self._same_places(found.sequence, expected.sequence)
        assert_close(found, expected)
        assert_lives_close(found.lives, expected.lives)
        return found, expected

    def decide(self, batch: list[tuple[Event, str | None]]) -> None:
        """Ask for Pix, and conclude those with a decision, as if its outcome were assumed."""
        seen = self.observe([pix for pix, _ in batch], FIRST)
        rows = [i for i, (_, decision) in enumerate(batch) if decision]
        ids, sides = [batch[i][0].end_to_end_id for i in rows], [batch[i][0].side for i in rows]
        decisions = [decision for _, decision in batch if decision]
        one, other = (
            self.served.run(Conclusions(history, ASSUMED).conclude(ids, sides, each.lives[rows], decisions))
            for history, each in zip((self.history, self.memory), seen, strict=True)
        )
        self._same_places(one.places, other.places)

    def tell(self, told: list[tuple[Event, Outcome]]) -> None:
        """Tell outcomes of one call, of which only the first about each Pix is made."""
        keys = [life_key(pix) for pix, _ in told]
        found, expected = (self.served.run(each.find(keys)) for each in (self.history, self.memory))
        assert_values_close(found, expected)
        self._change(outcome_changes(found, told), outcome_changes(expected, told))

    def judge(self, key: str, change: Callable[[int, int], Changes]) -> None:
        """Count a verdict or marker under a key, or take back the one that counts."""
        found, expected = (self.served.run(each.find([key])) for each in (self.history, self.memory))
        version, place = state_of(found[0])
        expected_version, expected_place = state_of(expected[0])
        assert version == expected_version
        self._same_places(np.array([place]), np.array([expected_place]))
        sign = 1 if version % 2 == 0 else -1
        self._change(change(version, sign), change(version, sign))

    def _join_epoch(self, places: NDArray[np.int64]) -> None:
        """Count in memory as in the first epoch of the server, of which it gave `places`."""
        if self.memory.history.sequence == 0 and self.served.shards == 1:
            self.memory.history.sequence = int(Place.of(max(0, int(places.max())))._replace(number=0))

    def _change(self, one: Changes, other: Changes) -> None:
        found = self.served.run(self.history.change(one)).places
        self._join_epoch(found)
        self._same_places(found, self.served.run(self.memory.change(other)).places)

    def _same_places(self, found: NDArray[np.int64], expected: NDArray[np.int64]) -> None:
        """Assert that places are those of memory; shards give places of their own, to the same changes."""
        if self.served.shards == 1:
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_array_equal(np.minimum(found, 1), np.minimum(expected, 1))


def assert_close(found: Observations, expected: Observations) -> None:
    np.testing.assert_allclose(found.reads, expected.reads, rtol=1.2e-7, atol=1e-7)
    np.testing.assert_array_equal(found.taken, expected.taken)
    assert found.claims == expected.claims


def assert_values_close(found: list[bytes | None], expected: list[bytes | None]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one is not None
        assert other is not None
        assert one[claims_at(one) :] == other[claims_at(other) :], "the claims differ"
        assert_lives_close(life_of(one), life_of(other))
        returned, expected_returned = returns_of(one), returns_of(other)
        np.testing.assert_array_equal(returned["hash"], expected_returned["hash"])
        np.testing.assert_array_equal(returned["place"] > 0, expected_returned["place"] > 0)


def assert_lives_close(found: Lives, expected: Lives) -> None:
    """Assert that lives are equal but for their places, and that they have reads that are close."""
    np.testing.assert_allclose(found["reads"], expected["reads"], rtol=1.2e-7, atol=1e-7)
    np.testing.assert_array_equal(found["outcomes"]["hash"], expected["outcomes"]["hash"])
    for name in ("place", "outcomes"):
        one, other = (each[name] if name == "place" else each[name]["place"] for each in (found, expected))
        np.testing.assert_array_equal(one > 0, other > 0, err_msg=name)
    assert LIFE.names
    for name in LIFE.names:
        if name not in ("place", "outcomes", "reads"):
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
