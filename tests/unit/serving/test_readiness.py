"""The start of an instance, over parts that answer, fail, or never return."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from shared.errors import Unavailable
from shared.serving import readiness
from shared.serving.readiness import AT_ONCE, Readiness
from tests.waiting import PATIENCE


@pytest.fixture(autouse=True)
def brief_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PROBE_SECONDS", 0.01)


class Part:
    """A part that fails at each of its first calls, or never answers."""

    def __init__(self, failures: Sequence[Exception] = (), silent: bool = False) -> None:
        self.asked = 0
        self._failures = iter(failures)
        self._silent = silent

    async def reach(self) -> None:
        self.asked += 1
        if self._silent:
            await asyncio.Event().wait()
        for error in self._failures:
            raise error


def started(parts: dict[str, Part], seconds: float = PATIENCE) -> Readiness:
    return Readiness({name: part.reach for name, part in parts.items()}, seconds, 0.0)


def test_parts_that_answer_are_asked_once() -> None:
    parts = {"bucket": Part(), "history": Part()}

    async def run() -> list[bool]:
        start = started(parts)
        return [await start.ready(), await start.ready()]

    assert asyncio.run(run()) == [True, True]
    assert [part.asked for part in parts.values()] == [1, 1]


def test_a_part_that_fails_is_asked_again_and_the_others_are_not() -> None:
    parts = {"bucket": Part(), "history": Part([Unavailable("away")] * 3)}
    asyncio.run(started(parts).wait())
    assert [part.asked for part in parts.values()] == [1, 4]


def test_a_probe_does_not_wait_for_a_part_that_never_answers() -> None:
    part = Part(silent=True)

    async def run() -> list[bool]:
        start = started({"history": part})
        return [await start.ready() for _ in range(3)]

    assert asyncio.run(run()) == [False] * 3
    assert part.asked == 1, "one question at a time"


def test_an_instance_starts_without_a_part_after_its_time(caplog: pytest.LogCaptureFixture) -> None:
    parts = {"bucket": Part(), "history": Part(silent=True), "other": Part([Unavailable("away")] * 10**6)}
    with caplog.at_level(logging.ERROR):
        asyncio.run(started(parts, 0.05).wait())
    (line,) = [record for record in caplog.records if record.message == "started without"]
    assert line.fields == {"missing": ["history", "other"]}  # type: ignore[attr-defined]  # set by `extra`


def test_a_fault_of_ours_is_raised_and_the_next_probe_asks_again() -> None:
    part = Part([ValueError("a bug")])

    async def run() -> bool:
        start = started({"bucket": part})
        with pytest.raises(ValueError, match="a bug"):
            await start.wait()
        await start.wait()
        return await start.ready()

    assert asyncio.run(run())


def test_nothing_to_reach_is_ready_at_once() -> None:
    assert asyncio.run(AT_ONCE.ready())
