"""A query that a client sends again under its id runs once."""

from __future__ import annotations

import asyncio

import pytest

from infra.local.bigquery.server import Once


class Handler:
    """Answers with the id of the query once it is let go, and counts its calls."""

    def __init__(self) -> None:
        self.calls, self.may_end = 0, asyncio.Event()

    async def __call__(self, _project: str, job: str, config: dict[str, str], *, dry_run: bool) -> str:
        assert (config, dry_run) == ({"query": "SELECT 1"}, False)
        self.calls += 1
        await self.may_end.wait()
        if job == "wrong":
            raise ValueError(job)
        return job


def test_a_repeated_query_waits_for_the_first_one_and_gets_its_answer() -> None:
    async def both() -> tuple[list[str], int]:
        handler = Handler()
        once = Once(handler)
        ask = [asyncio.create_task(once("p", job, {"query": "SELECT 1"}, dry_run=False)) for job in ("a", "a", "b")]
        await asyncio.sleep(0)
        ask[0].cancel()  # its client has gone
        handler.may_end.set()
        found = [await each for each in ask[1:]]
        return [*found, await once("p", "a", {"query": "SELECT 1"}, dry_run=False)], handler.calls

    assert asyncio.run(both()) == (["a", "b", "a"], 2)


def test_a_query_that_failed_fails_again_without_a_run() -> None:
    async def twice() -> int:
        handler = Handler()
        handler.may_end.set()
        once = Once(handler)
        for _ in range(2):
            with pytest.raises(ValueError, match="wrong"):
                await once("p", "wrong", {"query": "SELECT 1"}, dry_run=False)
        return handler.calls

    assert asyncio.run(twice()) == 1
