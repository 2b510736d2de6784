"""Holds and blocks that nobody reviewed end at their deadline, and that is told at least once."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from shared.adapters.memory.messages import MemoryTopic
from shared.adapters.memory.operations import MemoryHolds
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract.decision import Decided, DecisionEvent
from shared.contract.event import micros
from shared.errors import Misconfigured, Unavailable
from shared.operations.expiry import NAME, Expired, Expiry

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
REFUSED = DecisionEvent.REFUSED


def held(name: str, decision: str = "HOLD", until: dt.datetime = NOW) -> Decided:
    side = "PAYEE" if decision == "BLOCK" else "PAYER"
    return Decided(name, side, decision, micros(until), 0.5, ["NEW_PAYEE"], "v1", False, micros(NOW - MINUTE))


class Bench:
    """Runs over the same decisions, topic and bucket."""

    def __init__(self, *decided: Decided, unreviewed: DecisionEvent = REFUSED) -> None:
        self.holds, self.topic = MemoryHolds(decided), MemoryTopic()
        self.blobs = MemoryBlobs(lambda: NOW)
        self._expiry = Expiry(self.holds, self.topic, self.blobs, unreviewed)

    def run(self, until: dt.datetime) -> Expired:
        return asyncio.run(self._expiry.run(until))

    def told(self) -> list[tuple[str, str, str | None]]:
        return [(each.end_to_end_id, each.event, each.ended_by) for each in self.topic.messages]


@pytest.mark.parametrize("unreviewed", [DecisionEvent.RELEASED, REFUSED])
def test_a_hold_ends_as_the_setting_says_and_a_block_is_released(unreviewed: DecisionEvent) -> None:
    bench = Bench(held("E1"), held("E2", "BLOCK"), unreviewed=unreviewed)
    assert bench.run(NOW).outcome == "EXPIRED"
    assert bench.told() == [("E1", unreviewed, "DEADLINE"), ("E2", "RELEASED", "DEADLINE")]
    assert {each.ended_at for each in bench.topic.messages} == {NOW}


def test_each_deadline_is_told_by_one_run() -> None:
    bench = Bench(held("E1"), held("E2", until=NOW + MINUTE))
    assert [bench.run(NOW + i * MINUTE).refused for i in range(-1, 4)] == [0, 1, 1, 0, 0]
    assert [name for name, *_ in bench.told()] == ["E1", "E2"]


def test_what_something_has_ended_is_not_told() -> None:
    bench = Bench(held("E1"))
    bench.holds.ended.add("E1")
    assert bench.run(NOW).outcome == "NOTHING_TO_EXPIRE"
    assert bench.told() == []


def test_a_run_that_could_not_tell_is_made_up_for() -> None:
    bench = Bench(held("E1"))
    bench.topic.away = True
    with pytest.raises(Unavailable):
        bench.run(NOW)
    bench.topic.away = False
    assert bench.run(NOW + MINUTE).refused == 1


def test_two_runs_at_once_tell_twice_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(held("E1"))
    read = bench.blobs.read(NAME)
    bench.run(NOW)
    monkeypatch.setattr(bench.blobs, "read", lambda _: read)  # as it was before the other run
    assert bench.run(NOW).outcome == "TOLD_TWICE"
    assert [name for name, *_ in bench.told()] == ["E1", "E1"]


def test_a_damaged_mark_is_named() -> None:
    bench = Bench()
    bench.blobs.write(NAME, b"yesterday", 0)
    with pytest.raises(Misconfigured, match=NAME):
        bench.run(NOW)
