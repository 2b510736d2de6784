"""Group commit: every caller gets its own result, and batches grow with the load."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import pytest

from shared.errors import Malformed, Overloaded, Unavailable
from shared.serving.group_commit import BatchLimits, GroupCommit
from shared.telemetry.batches import CompletedBatch
from tests.waiting import PATIENCE, settled

Found = TypeVar("Found")


def run(coroutine: Coroutine[Any, Any, Found]) -> Found:
    """Run a scenario, which fails rather than hangs."""
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


class Work:
    """Doubles numbers, negative ones are malformed; takes `seconds`, and for as long as `gate` is closed."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.seconds = 0.0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(items))
        await asyncio.sleep(self.seconds)
        await self.gate.wait()
        return [Malformed("negative") if item < 0 else 2 * item for item in items]


def test_each_caller_gets_its_own_result_or_error() -> None:
    async def scenario() -> list[int | BaseException]:
        group = GroupCommit(Work(), BatchLimits(10, 2))
        return await asyncio.gather(*(group.submit(i) for i in (1, -1, 3)), return_exceptions=True)

    one, two, three = run(scenario())
    assert (one, three) == (2, 6)
    assert isinstance(two, Malformed)


def test_an_idle_system_starts_at_once_and_a_busy_one_gathers() -> None:
    async def scenario() -> list[list[int]]:
        work = Work()
        group = GroupCommit(work, BatchLimits(4, 1))
        work.gate.clear()
        tasks = [asyncio.create_task(group.submit(0))]
        await settled()
        tasks += [asyncio.create_task(group.submit(i)) for i in range(1, 8)]
        await settled()
        work.gate.set()
        await asyncio.gather(*tasks)
        return work.batches

    assert run(scenario()) == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_a_failing_batch_fails_all_its_callers_and_the_next_one_runs() -> None:
    async def scenario() -> tuple[Sequence[int | BaseException], int]:
        async def work(items: Sequence[int]) -> list[int | Exception]:
            if 13 in items:
                raise Unavailable("away")
            return list(items)

        group = GroupCommit(work, BatchLimits(2, 1))
        failed = await asyncio.gather(group.submit(13), group.submit(1), return_exceptions=True)
        return failed, await group.submit(2)

    failed, after = run(scenario())
    assert [type(error) for error in failed] == [Unavailable, Unavailable]
    assert after == 2


def test_a_cancelled_caller_affects_no_other() -> None:
    async def scenario() -> int:
        work = Work()
        group = GroupCommit(work, BatchLimits(4, 1))
        work.gate.clear()
        gone, stays = asyncio.create_task(group.submit(1)), asyncio.create_task(group.submit(2))
        await settled()
        gone.cancel()
        work.gate.set()
        return await stays

    assert run(scenario()) == 4


def test_a_full_queue_is_refused_early() -> None:
    async def scenario() -> list[int]:
        work = Work()
        group = GroupCommit(work, BatchLimits(1, 1, longest_queue=2))
        work.gate.clear()
        tasks = [asyncio.create_task(group.submit(0))]
        await settled()
        tasks += [asyncio.create_task(group.submit(i)) for i in (1, 2)]
        await settled()
        with pytest.raises(Overloaded):
            await group.submit(3)
        work.gate.set()
        return await asyncio.gather(*tasks)

    assert run(scenario()) == [0, 2, 4]


def test_a_stalled_queue_is_full_and_refuses_items_that_waited_too_long() -> None:
    async def scenario() -> tuple[Sequence[int | BaseException], int, list[list[int]]]:
        work = Work()
        group = GroupCommit(work, BatchLimits(1, 1, longest_wait=0.05))
        work.gate.clear()
        running = asyncio.create_task(group.submit(0))
        await settled()
        waiting = asyncio.create_task(group.submit(1))
        await asyncio.sleep(0.1)
        with pytest.raises(Overloaded):
            await group.submit(2)
        work.gate.set()
        outcomes = await asyncio.gather(running, waiting, return_exceptions=True)
        return outcomes, await group.submit(3), work.batches

    (first, second), after, batches = run(scenario())
    assert (first, type(second), after) == (0, Overloaded, 6)
    assert batches == [[0], [3]]


def test_it_is_idle_after_the_last_batch() -> None:
    async def scenario() -> tuple[list[bool], list[list[int]]]:
        work = Work()
        group = GroupCommit(work, BatchLimits(2, 1))
        tasks = [asyncio.create_task(group.submit(i)) for i in range(5)]
        await asyncio.sleep(0)
        await group.idle()
        return [task.done() for task in tasks], work.batches

    assert run(scenario()) == ([True] * 5, [[0, 1], [2, 3], [4]])


def test_abandoned_callers_get_the_error_and_the_batch_finishes() -> None:
    async def scenario() -> tuple[Sequence[int | BaseException], int, list[list[int]]]:
        work = Work()
        group = GroupCommit(work, BatchLimits(1, 1))
        work.gate.clear()
        tasks = [asyncio.create_task(group.submit(i)) for i in (1, 2)]
        await settled()
        group.abandon(Unavailable("shutting down"))
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        work.gate.set()
        await group.idle()
        return outcomes, await group.submit(3), work.batches

    outcomes, after, batches = run(scenario())
    assert [type(error) for error in outcomes] == [Unavailable, Unavailable]
    assert (after, batches) == (6, [[1], [3]])


def test_each_batch_is_reported_with_its_size_and_queue() -> None:
    async def scenario() -> tuple[list[tuple[int, int]], float]:
        work = Work()
        batches: list[CompletedBatch] = []
        group = GroupCommit(work, BatchLimits(2, 1), batches.append)
        await asyncio.gather(*(group.submit(i) for i in range(5)))
        await group.idle()
        sizes = [(len(batch.seconds), batch.waiting) for batch in batches]
        return sizes, min(seconds for batch in batches for seconds in batch.seconds)

    sizes, least = run(scenario())
    assert sizes == [(2, 3), (2, 1), (1, 0)]
    assert least >= 0


def test_the_next_batch_is_delayed_by_the_duration_of_the_last() -> None:
    async def scenario(linger: float, counts: list[int]) -> list[int]:
        work, callers = Work(), []
        work.seconds = 0.3
        group = GroupCommit(work, BatchLimits(10, 3, linger=linger, enough=3))
        await group.submit(0)
        await asyncio.sleep(work.seconds)
        for count in counts:
            callers += [asyncio.create_task(group.submit(0)) for _ in range(count)]
            await settled()
        begun = [len(batch) for batch in work.batches[1:]]
        group.abandon(Unavailable("enough seen"))
        await asyncio.gather(*callers, return_exceptions=True)
        return begun

    assert run(scenario(60.0, [1, 1, 1])) == [1], "the first at once; the others wait"
    assert run(scenario(60.0, [1, 2, 1, 1])) == [1, 3]
    assert run(scenario(0.0, [1, 1, 1])) == [1, 1, 1]


def test_a_waiting_batch_starts_after_its_linger() -> None:
    async def scenario() -> tuple[int, list[int], list[list[int]]]:
        work = Work()
        work.seconds = 0.1
        group = GroupCommit(work, BatchLimits(10, 3, linger=0.02, enough=10))
        alone = await group.submit(1)
        return alone, list(await asyncio.gather(group.submit(2), group.submit(3))), work.batches

    assert run(scenario()) == (2, [4, 6], [[1], [2, 3]])
