"""`pix-decisions` tells the end of a hold or block, by an outcome or a reviewer, before that is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shared.contract.decision import Decided, DecisionMessage, instant
from shared.operations.late import LateCounted
from tests.builders import outcome, transaction
from tests.contract.history_stores import Store
from tests.functions.asking import NOW, REMEMBERED, Functions
from tests.functions.bank import SECOND
from tests.waiting import PATIENCE

MARKED = {"payee_statistics__fraud_markers": {"mule_accounts": {"d90": 1, "m12": 0, "m60": 0}}}
"""Changes of a transaction that is held or blocked."""

Scenario = Callable[[Functions], Coroutine[Any, Any, None]]
Run = Callable[[Scenario], None]


@pytest.fixture
def run(history_store: Store) -> Run:
    """Run a scenario over a store of history, which fails rather than hangs."""

    def ran(scenario: Scenario) -> None:
        history = history_store.fresh()

        async def whole() -> None:
            await asyncio.wait_for(scenario(Functions(history)), PATIENCE)

        history_store.run(whole())

    return ran


def ends(functions: Functions) -> list[tuple[str, str, str | None]]:
    """Return event, side and cause of each message about an end."""
    return [(each.event, each.side, each.ended_by) for each in functions.topic.messages if each.ended_by]


def review(message: dict[str, Any], verdict: str, reported_at: str = "2026-11-20T14:40:00Z") -> dict[str, Any]:
    told = {"source": "ANALYST", "report_id": f"review-{message['end_to_end_id']}", "verdict": verdict}
    return told | {"end_to_end_id": message["end_to_end_id"], "reported_at": reported_at, "analyst": "ana"}


@pytest.mark.parametrize(
    ("side", "status", "event"),
    [
        ("PAYER", "SETTLED", "RELEASED"),
        ("PAYER", "REJECTED", "REFUSED"),
        ("PAYER", "EXPIRED", "REFUSED"),
        ("PAYER", "CANCELLED", "REFUSED"),
        ("PAYEE", "RELEASED", "RELEASED"),
    ],
)
def test_an_outcome_ends_a_hold(run: Run, side: str, status: str, event: str) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**MARKED, side=side)
        await functions.deliver(message)
        assert await functions.tell(outcome(message["end_to_end_id"], status, side=side)) == 204
        assert ends(functions) == [(event, side, "OUTCOME")]
        held, last = functions.topic.messages
        decided = Decided.of(functions.rows[0])
        assert last == DecisionMessage.ended(last.event, decided, NOW + 3_000_000, "OUTCOME")
        assert (held.decision, last.hold_until) == (decided.decision, instant(decided.hold_until))
        assert last.attributes == held.attributes | {"event": event}

    run(scenario)


def test_what_was_not_held_does_not_end(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        plain, blocked = transaction(), transaction(**MARKED, side="PAYEE")
        rejected = transaction(amount="250.00", device__registered_at=None)
        for message in (plain, blocked, rejected):
            await functions.deliver(message)
            side = message.get("side", "PAYER")
            assert await functions.tell(outcome(message["end_to_end_id"], "SETTLED", side=side)) == 204
        assert await functions.judge(review(plain, "FRAUD")) == 204
        assert ends(functions) == []

    run(scenario)


@pytest.mark.parametrize(("verdict", "event"), [("LEGITIMATE", "RELEASED"), ("FRAUD", "REFUSED")])
def test_a_reviewer_ends_the_holds_of_both_sides_in_time(run: Run, verdict: str, event: str) -> None:
    async def scenario(functions: Functions) -> None:
        message, late = transaction(**MARKED), transaction(**MARKED)
        await functions.deliver(message)
        await functions.deliver(message | {"side": "PAYEE"})
        await functions.deliver(late)
        assert await functions.judge(review(message, verdict)) == 204
        assert ends(functions) == [(event, "PAYER", "REVIEW"), (event, "PAYEE", "REVIEW")]
        assert await functions.judge(review(late, verdict, "2026-11-22T14:40:00Z")) == 204
        assert len(ends(functions)) == 2

    run(scenario)


def test_an_end_that_is_not_published_is_told_again(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**MARKED)
        await functions.deliver(message)
        functions.topic.away = True
        assert await functions.tell(outcome(message["end_to_end_id"])) == 503
        functions.topic.away = False
        assert await functions.tell(outcome(message["end_to_end_id"])) == 204
        assert ends(functions) == [("RELEASED", "PAYER", "OUTCOME")]

    run(scenario)


def test_the_end_of_a_block_that_history_has_forgotten_is_told(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**MARKED, side="PAYEE")
        await functions.deliver(message)
        functions.forget()
        functions.now += 2 * round(REMEMBERED * SECOND)
        told = outcome(message["end_to_end_id"], "RELEASED", side="PAYEE", at="2026-11-21T14:32:09Z")
        assert await functions.tell(told) == 204
        assert ends(functions) == []
        assert await functions.count_late() == LateCounted(counted=1)
        assert ends(functions) == [("RELEASED", "PAYEE", "OUTCOME")]

    run(scenario)


def test_a_review_of_a_block_that_history_has_forgotten_is_told(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**MARKED, side="PAYEE")
        await functions.deliver(message)
        functions.forget()
        assert await functions.judge(review(message, "LEGITIMATE", "2026-11-20T21:00:00Z")) == 204
        assert ends(functions) == [("RELEASED", "PAYEE", "REVIEW")]

    run(scenario)


def test_a_review_ends_no_hold_of_a_pix_that_has_settled(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**MARKED)
        await functions.deliver(message)
        assert await functions.tell(outcome(message["end_to_end_id"])) == 204
        assert await functions.judge(review(message, "FRAUD")) == 204
        assert ends(functions) == [("RELEASED", "PAYER", "OUTCOME")]

    run(scenario)


def test_a_blind_second_review_ends_nothing(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**MARKED, side="PAYEE")
        await functions.deliver(message)
        blind = review(message, "LEGITIMATE") | {"shown_because": "SECOND_REVIEW"}
        assert await functions.judge(blind) == 204
        assert ends(functions) == []

    run(scenario)
