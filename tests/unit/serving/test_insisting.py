"""Messages are tried until each has its row, or until their attempts are used up."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from shared.contract.envelope import PubsubMessage
from shared.errors import RowRefused, Unavailable
from shared.ports.messages import Received
from shared.serving.insisting import ONCE, Retries, insist
from tests.builders import encoded, transaction
from tests.unit.serving.test_intake import IntakeBench, run

QUICK = Retries(attempts=4, shortest=0.0)


def received(*messages: dict[str, Any] | bytes) -> list[Received]:
    data = [each if isinstance(each, bytes) else encoded(each) for each in messages]
    return [Received(PubsubMessage(each, str(i)), None, perf_counter()) for i, each in enumerate(data)]


def test_a_message_without_a_row_is_tried_again_and_the_others_are_not() -> None:
    async def scenario() -> tuple[IntakeBench, list[Exception | None]]:
        bench = IntakeBench()
        return bench, await insist(bench.intake, received(transaction(), transaction(amount="0.66"), b"{"), QUICK)

    bench, (one, refused, malformed) = run(scenario)
    assert (one, malformed) == (None, None)
    assert isinstance(refused, RowRefused)
    assert bench.decoded == 3 + 3
    assert len(bench.stored) == len(bench.quarantine.rows) == 1


def test_it_ends_once_all_are_stored() -> None:
    async def scenario() -> tuple[IntakeBench, list[Exception | None]]:
        bench = IntakeBench()
        bench.error = Unavailable("away")
        insisting = asyncio.create_task(insist(bench.intake, received(transaction(), transaction()), Retries()))
        while bench.decoded < 4:
            await asyncio.sleep(0)
        bench.error = None
        return bench, await insisting

    bench, errors = run(scenario)
    assert errors == [None, None]
    assert len(bench.stored) == 2


def test_once_is_one_attempt() -> None:
    async def scenario() -> tuple[IntakeBench, list[Exception | None]]:
        bench = IntakeBench()
        return bench, await insist(bench.intake, received(transaction(amount="0.66")), ONCE)

    bench, (refused,) = run(scenario)
    assert isinstance(refused, RowRefused)
    assert bench.decoded == 1
