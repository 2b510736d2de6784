"""The threads of the desk's queries: no one waits for longer than the time, and nobody else's thread is taken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.adapters.bigquery.desk.threads import QueryThreads
from shared.errors import Unavailable

PATIENCE = 60.0
THREADS = 64
"""More than a process has by default."""


@pytest.fixture
def answer() -> Iterator[threading.Event]:
    """Yield the answer of BigQuery, which comes at the end of the test."""
    answer = threading.Event()
    yield answer
    answer.set()


def test_queries_without_an_answer_leave_the_threads_of_others_alone(answer: threading.Event) -> None:
    async def ask() -> None:
        threads, started = QueryThreads(PATIENCE, ThreadPoolExecutor(THREADS)), threading.Semaphore(0)

        def query() -> None:
            started.release()
            answer.wait(PATIENCE)

        asked = [asyncio.ensure_future(threads.run(query)) for _ in range(THREADS)]
        for _ in asked:
            assert await asyncio.to_thread(started.acquire, timeout=PATIENCE)
        answer.set()
        await asyncio.gather(*asked)

    asyncio.run(ask())


def test_a_query_that_has_no_thread_in_time_is_told_and_never_made(answer: threading.Event) -> None:
    made: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        pool.submit(answer.wait, PATIENCE)
        with pytest.raises(Unavailable):
            asyncio.run(QueryThreads(0.01, pool).run(made.append, "late"))
        answer.set()
        pool.submit(made.append, "next").result(PATIENCE)
    assert made == ["next"]
