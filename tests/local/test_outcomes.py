"""Outcomes fit the decisions on their Pix, and come after them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from infra.local import outcomes
from infra.local.outcomes import Decided, HeldOutcomes, Message, OutcomePublisher, fitted
from tests.waiting import until

SETTLED: Message = {"end_to_end_id": "E1", "side": "PAYER", "status": "SETTLED", "at": "2026-11-20T14:32:06Z"}
RETURNED: Message = SETTLED | {"status": "RETURNED", "return_id": "D1", "amount": "1.00"}
EXPIRED: Message = SETTLED | {"status": "EXPIRED", "reason": "AB03"}


def statuses(messages: Iterable[Message]) -> list[str]:
    return [message["status"] for message in messages]


@pytest.mark.parametrize(
    ("decision", "told", "published"),
    [
        ("APPROVE", [SETTLED, RETURNED], [SETTLED, RETURNED]),
        ("APPROVE", [EXPIRED], [EXPIRED]),
        ("REJECT", [SETTLED, RETURNED], [SETTLED | {"status": "REJECTED"}]),
        ("REJECT", [EXPIRED], [EXPIRED]),
        ("BLOCK", [SETTLED, RETURNED], [SETTLED, SETTLED | {"status": "BLOCKED", "side": "PAYEE"}, RETURNED]),
    ],
)
def test_an_outcome_fits_the_decision(decision: str, told: list[Message], published: list[Message]) -> None:
    assert [each for outcome in told for each in fitted(decision, outcome)] == published


def test_of_held_pix_some_are_cancelled_and_none_of_these_is_returned() -> None:
    fates = set()
    for n in range(50):
        told = [outcome | {"end_to_end_id": f"E{n}"} for outcome in (SETTLED, RETURNED)]
        fates.add(tuple(statuses(each for outcome in told for each in fitted("HOLD", outcome))))
    assert fates == {("SETTLED", "RETURNED"), ("CANCELLED",)}


def test_an_outcome_waits_for_every_side_that_was_asked_and_fits_the_strictest() -> None:
    held = HeldOutcomes()
    held.ask("E1", "PAYER")
    held.ask("E1", "PAYEE")
    held.hold(SETTLED)
    assert (held.take(), held.waiting()) == ([], ["E1"])
    held.decide([Decided("E1", "PAYER", "APPROVE")])
    assert held.take() == []
    held.decide([Decided("E1", "PAYER", "APPROVE"), Decided("E1", "PAYEE", "REJECT")])
    assert (statuses(held.take()), held.waiting()) == (["REJECTED"], [])
    held.hold(RETURNED)
    assert held.take() == []


def test_the_first_decision_of_a_side_counts() -> None:
    held = HeldOutcomes()
    held.ask("E1", "PAYER")
    held.hold(SETTLED)
    held.decide([Decided("E1", "PAYER", "APPROVE"), Decided("E1", "PAYER", "REJECT")])
    assert held.take() == [SETTLED]


def test_an_outcome_of_an_earlier_pix_stays_as_it_is() -> None:
    held = HeldOutcomes()
    held.hold(RETURNED)
    assert (held.take(), held.take()) == ([RETURNED], [])


def test_the_oldest_pix_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "REMEMBERED_MAX", 1)
    held = HeldOutcomes()
    held.ask("E1", "PAYER")
    held.hold(SETTLED)
    held.ask("E2", "PAYER")
    assert held.waiting() == []


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "LOOK_SECONDS", 0.01)


@pytest.mark.usefixtures("quick")
def test_outcomes_are_published_once_their_pix_are_decided() -> None:
    published: list[Message] = []
    decided = threading.Event()

    def ask(ids: Sequence[str]) -> list[Decided]:
        return [Decided(id_, "PAYER", "APPROVE") for id_ in ids if decided.is_set()]

    with OutcomePublisher(ask, published.extend) as publisher:
        publisher.asked("E1", "PAYER")
        publisher.hold(SETTLED)
        assert (publisher.waiting(), published) == (1, [])
        decided.set()
        until(lambda: published == [SETTLED])
        assert publisher.waiting() == 0


@pytest.mark.usefixtures("quick")
def test_an_error_of_the_thread_reaches_the_publisher() -> None:
    def ask(_: Sequence[str]) -> Any:
        raise TimeoutError("away")

    def told() -> None:
        with OutcomePublisher(ask, lambda _: None) as publisher:
            publisher.asked("E1", "PAYER")
            publisher.hold(SETTLED)
            until(lambda: publisher.waiting() == 0)

    with pytest.raises(TimeoutError, match="away"):
        told()
