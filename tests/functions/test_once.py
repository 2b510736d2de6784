"""A message of the topic that comes again after history has forgotten its Pix: no second decision, row or news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shared.contract.envelope import PubsubMessage
from shared.ports.messages import Received
from tests.builders import encoded, transaction
from tests.contract.history_stores import Store
from tests.functions.asking import REMEMBERED, Functions
from tests.waiting import PATIENCE

STOPPED = {"amount": "250.00", "device__registered_at": None}
"""Changes of a transaction that a rule rejects, so that its decision is told."""
LATER = 3 * 3_600_000_000
OTHER = "E12345678202611201432other000000"
YOUNG = {"end_to_end_id": "E12345678202611201732young000000", "initiated_at": "2026-11-20T17:32:05.123Z"}
"""Changes of a transaction that is asked for LATER."""

Scenario = Callable[[Functions], Coroutine[Any, Any, None]]


@pytest.fixture
def run(history_store: Store) -> Callable[[Scenario], None]:
    """Run a scenario over a store of history, which fails rather than hangs."""

    def ran(scenario: Scenario) -> None:
        history = history_store.fresh()

        async def whole() -> None:
            await asyncio.wait_for(scenario(Functions(history)), PATIENCE)

        history_store.run(whole())

    return ran


async def together(functions: Functions, *messages: dict[str, Any]) -> list[Exception | None]:
    """Store messages as one batch of the score function; return the error of each."""
    received = [Received(PubsubMessage(encoded(each)), i, 0.0) for i, each in enumerate(messages)]
    return await functions.score.take(received, 0)


@pytest.mark.parametrize("asked_first", [False, True])
def test_it_is_neither_decided_nor_stored_nor_told_again(run: Callable[[Scenario], None], asked_first: bool) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        await (functions.ask(message) if asked_first else functions.deliver(message))
        functions.now += LATER
        functions.forget()
        assert [await functions.deliver(message) for _ in range(2)] == [204, 204]
        assert (len(functions.rows), len(functions.topic.messages), len(functions.quarantine.rows)) == (1, 1, 0)

    run(scenario)


def test_another_pix_of_its_id_is_quarantined(run: Callable[[Scenario], None]) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        await functions.deliver(message)
        functions.now += LATER
        functions.forget()
        assert await functions.deliver(message | {"amount": "90.00"}) == 204
        assert (len(functions.rows), len(functions.quarantine.rows)) == (1, 1)

    run(scenario)


def test_a_batch_asks_once_and_scores_what_nobody_has_decided(run: Callable[[Scenario], None]) -> None:
    async def scenario(functions: Functions) -> None:
        message, other = transaction(**STOPPED), transaction(end_to_end_id=OTHER)
        await functions.deliver(message)
        functions.now += LATER
        functions.forget()
        payee = message | {"side": "PAYEE"}
        assert await together(functions, transaction(**YOUNG), message, other, payee) == [None] * 4
        assert functions.lookup.asked == 1
        stored = [(row.event.end_to_end_id, row.event.side) for row in functions.rows]
        assert len(stored) == 4
        assert set(stored) == {
            (message["end_to_end_id"], "PAYER"),
            (message["end_to_end_id"], "PAYEE"),
            (YOUNG["end_to_end_id"], "PAYER"),
            (OTHER, "PAYER"),
        }

    run(scenario)


def test_without_an_answer_it_comes_again_and_the_young_are_scored(run: Callable[[Scenario], None]) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        await functions.deliver(message)
        functions.now += LATER
        functions.forget()
        functions.lookup.away = True
        errors = await together(functions, message, transaction(**YOUNG))
        assert [type(error).__name__ for error in errors] == ["Unavailable", "NoneType"]
        assert await functions.deliver(message) == 503
        functions.lookup.away = False
        assert await functions.deliver(message) == 204
        assert [row.event.end_to_end_id for row in functions.rows] == [
            message["end_to_end_id"],
            YOUNG["end_to_end_id"],
        ]
        assert len(functions.topic.messages) == 1

    run(scenario)


def test_a_claim_whose_decision_was_not_told_needs_no_look_up_and_is_told(run: Callable[[Scenario], None]) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        functions.topic.away = True
        assert await functions.deliver(message) == 503
        functions.now += LATER
        functions.topic.away, functions.lookup.away = False, True
        assert await functions.deliver(message) == 204
        assert (len(functions.topic.messages), functions.lookup.asked) == (1, 0)

    run(scenario)


def test_a_young_message_needs_no_look_up(run: Callable[[Scenario], None]) -> None:
    async def scenario(functions: Functions) -> None:
        functions.now += round(REMEMBERED * 1e6) - 60_000_000
        assert await functions.deliver(transaction()) == 204
        assert functions.lookup.asked == 0

    run(scenario)


def test_without_history_it_is_decided_as_everything_is(run: Callable[[Scenario], None]) -> None:
    async def scenario(functions: Functions) -> None:
        functions.now += LATER
        functions.history.away = True
        assert await functions.deliver(transaction()) == 204
        assert ["NO_HISTORY" in row.reasons for row in functions.rows] == [True]

    run(scenario)


def test_without_history_a_redelivery_waits_if_its_pix_has_a_row(run: Callable[[Scenario], None]) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        await functions.deliver(message)
        functions.history.away = True
        assert await functions.deliver(message, attempt=2) == 503
        functions.history.away = False
        assert await functions.deliver(message, attempt=3) == 204
        assert ["NO_HISTORY" in row.reasons for row in functions.rows] in ([False], [False, False])
        assert len(functions.topic.messages) == 1

    run(scenario)


def test_without_history_a_redelivery_is_decided_if_nothing_is_stored(run: Callable[[Scenario], None]) -> None:
    async def scenario(functions: Functions) -> None:
        functions.history.away = True
        assert await functions.deliver(transaction(), attempt=2) == 204
        assert functions.lookup.asked == 1
        assert ["NO_HISTORY" in row.reasons for row in functions.rows] == [True]

    run(scenario)


def test_without_history_and_tables_a_redelivery_comes_again(run: Callable[[Scenario], None]) -> None:
    async def scenario(functions: Functions) -> None:
        functions.history.away = functions.lookup.away = True
        assert await functions.deliver(transaction(), attempt=2) == 503
        assert functions.rows == []

    run(scenario)


def test_a_redelivery_asks_no_table_where_history_answers(run: Callable[[Scenario], None]) -> None:
    async def scenario(functions: Functions) -> None:
        assert await functions.deliver(transaction(), attempt=2) == 204
        assert functions.lookup.asked == 0

    run(scenario)
