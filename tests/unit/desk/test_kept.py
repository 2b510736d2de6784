"""A kept value is read once for all, again when it is old, and not kept if its read fails."""

from __future__ import annotations

import asyncio

import pytest

from shared.desk.kept import Kept
from shared.errors import Unavailable
from tests.unit.desk.world import run


class Source:
    """Reads that count themselves and wait for `gate`; `away` makes them fail."""

    def __init__(self) -> None:
        self.now, self.reads, self.away = 0.0, 0, False
        self.gate = asyncio.Event()
        self.gate.set()
        self.kept = Kept(self._read, 5.0, lambda: self.now)

    async def _read(self) -> int:
        self.reads += 1
        number, failed = self.reads, self.away
        await self.gate.wait()
        if failed:
            raise Unavailable("the source is away")
        return number


def test_all_who_ask_at_once_share_a_read_also_if_the_first_one_leaves() -> None:
    async def ask() -> list[int]:
        source = Source()
        source.gate.clear()
        first, *others = [asyncio.ensure_future(source.kept.get()) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        source.gate.set()
        return await asyncio.gather(*others)

    assert run(ask()) == [1, 1]


def test_a_value_is_read_again_when_it_is_old_or_forgotten() -> None:
    async def ask() -> list[int]:
        source, found = Source(), []
        for now in (0.0, 4.9, 5.0, 3.0):  # a clock that goes back is no reason to keep it longer
            source.now = now
            found.append(await source.kept.get())
        source.kept.forget()
        return [*found, await source.kept.get()]

    assert run(ask()) == [1, 1, 2, 3, 4]


def test_a_failed_read_is_told_to_all_who_wait_and_made_again_for_the_next() -> None:
    async def ask() -> tuple[list[object], int]:
        source = Source()
        source.away = True
        failed = await asyncio.gather(source.kept.get(), source.kept.get(), return_exceptions=True)
        source.away = False
        return [type(each) for each in failed], await source.kept.get()

    assert run(ask()) == ([Unavailable, Unavailable], 2)


def test_a_read_that_ends_with_its_loop_is_made_again(recwarn: pytest.WarningsRecorder) -> None:
    source = Source()
    source.gate.clear()

    async def leave() -> None:
        asking = asyncio.ensure_future(source.kept.get())
        await asyncio.sleep(0)
        asking.cancel()

    run(leave())
    source.gate.set()
    assert run(source.kept.get()) == 2
    assert not recwarn.list
