"""Group commit: every caller gets its own result, and batches grow with the load."""

import asyncio

import pytest

from shared.errors import Malformed, Unavailable
from shared.serving.group_commit import GroupCommit


def run(coroutine):
    return asyncio.run(coroutine)


class Work:
    """Doubles numbers, negative ones are malformed; holds a batch back while `gate` is closed."""

    def __init__(self):
        self.batches = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items):
        self.batches.append(list(items))
        await self.gate.wait()
        return [Malformed("negative") if item < 0 else 2 * item for item in items]


def test_each_caller_gets_its_own_result_or_error():
    async def scenario():
        group = GroupCommit(Work(), largest=10, in_flight=2)
        return await asyncio.gather(*(group.submit(i) for i in (1, -1, 3)), return_exceptions=True)

    one, two, three = run(scenario())
    assert (one, three) == (2, 6)
    assert isinstance(two, Malformed)


def test_an_idle_system_starts_at_once_and_a_busy_one_gathers():
    async def scenario():
        work = Work()
        group = GroupCommit(work, largest=4, in_flight=1)
        work.gate.clear()
        tasks = [asyncio.create_task(group.submit(0))]
        await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(group.submit(i)) for i in range(1, 8)]
        await asyncio.sleep(0.01)
        work.gate.set()
        await asyncio.gather(*tasks)
        return work.batches

    assert run(scenario()) == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_a_failing_batch_fails_all_its_callers_and_the_next_one_runs():
    async def scenario():
        async def work(items):
            if 13 in items:
                raise Unavailable("away")
            return list(items)

        group = GroupCommit(work, largest=2, in_flight=1)
        failed = await asyncio.gather(group.submit(13), group.submit(1), return_exceptions=True)
        return failed, await group.submit(2)

    failed, after = run(scenario())
    assert [type(error) for error in failed] == [Unavailable, Unavailable]
    assert after == 2


def test_a_caller_that_goes_away_harms_nobody():
    async def scenario():
        work = Work()
        group = GroupCommit(work, largest=4, in_flight=1)
        work.gate.clear()
        gone, stays = asyncio.create_task(group.submit(1)), asyncio.create_task(group.submit(2))
        await asyncio.sleep(0.01)
        gone.cancel()
        work.gate.set()
        return await stays

    assert run(scenario()) == 4


def test_a_full_queue_is_refused_early():
    async def scenario():
        work = Work()
        group = GroupCommit(work, largest=1, in_flight=1, longest_queue=2)
        work.gate.clear()
        tasks = [asyncio.create_task(group.submit(0))]
        await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(group.submit(i)) for i in (1, 2)]
        await asyncio.sleep(0.01)
        with pytest.raises(Unavailable):
            await group.submit(3)
        work.gate.set()
        return await asyncio.gather(*tasks)

    assert run(scenario()) == [0, 2, 4]
