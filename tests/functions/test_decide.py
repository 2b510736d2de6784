"""Questions over HTTP: one decision for each Pix and side, in the caller's time, whatever else asks about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.contract.decision import Decided, DecisionAnswer
from shared.errors import Unavailable
from shared.features.life import MOST_ASKED, SideClaim
from shared.serving import decide_service
from shared.serving.group_commit import BatchLimits
from shared.serving.http.decide_api import DECISIONS, PROBE
from shared.serving.http.problems import HttpAnswer
from shared.serving.readiness import PROBE_SECONDS, Readiness
from shared.telemetry.metrics import ANSWERS
from tests.builders import encoded, transaction
from tests.contract.history_stores import Store
from tests.functions.asking import VERSION, Functions
from tests.waiting import PATIENCE, settled

STOPPED = {"amount": "250.00", "device__registered_at": None}
"""Changes of a transaction that a rule rejects."""
SHORT_MS = 20

Scenario = Callable[[Functions], Coroutine[Any, Any, None]]
Run = Callable[[Scenario], None]


@pytest.fixture
def at_once(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--at-once"))


@pytest.fixture
def run(history_store: Store, trained_bundle: dict[str, bytes]) -> Run:
    """Run a scenario over a store of history, which fails rather than hangs."""

    def ran(scenario: Scenario) -> None:
        history = history_store.fresh()

        async def whole() -> None:
            await asyncio.wait_for(scenario(Functions(history, trained_bundle)), 4 * PATIENCE)

        history_store.run(whole())

    return ran


def told(functions: Functions, first: bool) -> Any:
    """Return the answer that the first stored row makes."""
    return msgspec.to_builtins(DecisionAnswer.of(Decided.of(functions.rows[0]), first))


def test_the_answer_is_the_stored_decision(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        answer = await functions.ask(message)
        assert answer == told(functions, first=True)
        assert (answer["decision"], answer["model_version"]) == ("REJECT", VERSION)
        assert (answer["end_to_end_id"], answer["side"]) == (message["end_to_end_id"], "PAYER")

    run(scenario)


def test_a_probe_is_told_to_come_again_until_the_instance_has_all_that_it_needs(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        away = [Unavailable("away")]

        async def reach() -> None:
            if away:
                raise away.pop()

        functions.service.readiness = Readiness({"store": reach}, PATIENCE, 4 * PROBE_SECONDS)
        first = await functions.api.answer("GET", PROBE, {}, b"")
        assert (first.status, msgspec.json.decode(first.body)["type"].rpartition(":")[2]) == (503, "starting")
        await functions.service.readiness.wait()
        assert (await functions.api.answer("GET", PROBE, {}, b"")).status == 200

    run(scenario)


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_later_question_has_the_first_decision(run: Run, asked_before: bool) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        await (functions.ask(message) if asked_before else functions.deliver(message))
        functions.now += 60_000_000
        assert await functions.ask(message) == told(functions, first=False)
        assert await functions.deliver(message) == 204
        assert len(functions.rows) == 1

    run(scenario)


def test_an_id_is_taken_also_where_history_has_forgotten_it_and_the_time_is_another(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        await functions.ask(message)
        functions.forget()
        functions.now += 4 * 3_600_000_000
        other = await functions.post(message | {"amount": "90.00", "initiated_at": "2026-11-20T18:32:05.123Z"})
        assert (other.status, b"end_to_end_id_taken" in other.body) == (422, True)
        assert len(functions.rows) == 1

    run(scenario)


def test_a_question_of_tomorrow_has_the_decision_of_today(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        await functions.ask(message)
        functions.now += 86_400_000_000
        functions.forget()
        assert await functions.ask(message) == told(functions, first=False)
        other = await functions.post(message | {"amount": "1.00"})
        assert (other.status, b"end_to_end_id_taken" in other.body) == (422, True)
        assert len(functions.rows) == 1

    run(scenario)


def test_a_pix_may_be_asked_about_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its count of questions has an end, as in the shared store."""

    async def scenario() -> None:
        functions, message = Functions(MemoryHistoryAdapter()), transaction(**STOPPED)
        claim = SideClaim.encode
        monkeypatch.setattr(SideClaim, "encode", lambda own: claim(own._replace(number=MOST_ASKED)))
        await functions.ask(message)
        monkeypatch.undo()
        assert await functions.ask(message) == await functions.ask(message) == told(functions, first=False)

    asyncio.run(scenario())


def test_each_side_has_its_own_decision(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        payer, payee = await asyncio.gather(functions.ask(message), functions.ask(message | {"side": "PAYEE"}))
        assert [(each["side"], each["first"]) for each in (payer, payee)] == [("PAYER", True), ("PAYEE", True)]

    run(scenario)


def test_one_id_by_both_ways_at_once_has_one_decision(run: Run, at_once: int) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        statuses: list[int] = []
        answers: list[HttpAnswer] = []

        async def deliver() -> None:
            statuses.append(await functions.deliver(message))

        async def ask() -> None:
            answers.append(await functions.post(message))

        await asyncio.gather(*(ask() if i % 2 else deliver() for i in range(2 * at_once)))
        assert (len(statuses), set(statuses)) == (at_once, {204})
        assert (len(answers), {each.status for each in answers}) == (at_once, {200})
        plain = {each.body.replace(b'"first":true', b'"first":false') for each in answers}
        assert len(plain) == 1
        stored = {msgspec.json.encode(DecisionAnswer.of(Decided.of(row), first=False)) for row in functions.rows}
        assert stored == plain
        assert sum(b'"first":true' in each.body for each in answers) <= 1
        assert len({msgspec.json.encode(told) for told in functions.topic.messages}) == 1

    run(scenario)


def test_a_decision_that_stands_is_given_in_time_though_its_row_is_late(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        functions.table.gate.clear()
        patient = asyncio.create_task(functions.ask(message))
        await settled()
        for patience_ms in (200, 2_000, 20_000):  # as the machine may be busy
            if (answer := await functions.post(message, patience_ms)).status == 200:
                break
        assert (functions.rows, patient.done()) == ([], False)
        functions.table.gate.set()
        assert await patient == told(functions, first=True)
        assert msgspec.json.decode(answer.body) == told(functions, first=False)

    run(scenario)


def test_a_row_that_is_stored_after_its_answer_is_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide_service, "PAUSES", (0.0, 0.0, 0.0))

    async def scenario(functions: Functions) -> None:
        functions.table.failures = 2
        assert await functions.ask(transaction(**STOPPED)) == told(functions, first=True)
        assert len(functions.rows) == 1

    run(scenario)


async def unstored(functions: Functions, message: dict[str, Any]) -> asyncio.Task[HttpAnswer]:
    """Return a question whose decision stands while the first append of its row has failed."""
    failures = functions.table.failures
    asked = asyncio.create_task(functions.post(message))
    while functions.table.failures == failures:
        await asyncio.sleep(0)
    await settled()
    assert functions.rows == []
    return asked


def test_a_shutdown_stores_the_row_of_a_decision_that_waits_for_another_attempt(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide_service, "PAUSES", (9 * PATIENCE,))

    async def scenario(functions: Functions) -> None:
        functions.table.failures = 1
        asked = await unstored(functions, transaction(**STOPPED))
        await functions.service.drain(PATIENCE)
        assert (len(functions.rows), len(functions.topic.messages)) == (1, 1)
        assert msgspec.json.decode((await asked).body) == told(functions, first=True)
        assert (await functions.post(transaction(**STOPPED))).status == 503

    run(scenario)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_shutdown_counts_the_decisions_that_it_leaves_without_a_row(
    hangs: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decide_service, "PAUSES", (9 * PATIENCE,))

    async def scenario() -> int:
        functions = Functions(MemoryHistoryAdapter())
        functions.table.failures = 2
        asked = await unstored(functions, transaction(**STOPPED))
        if hangs:
            functions.table.gate.clear()
        await functions.service.drain(0.0 if hangs else PATIENCE)
        return (await asked).status

    assert asyncio.run(scenario()) == 503
    left = [record for record in caplog.records if record.msg == "decisions left without a row"]
    assert [vars(record)["fields"] for record in left] == [{"decisions": 1}]


def test_without_history_nothing_is_decided_and_nothing_stored(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message = transaction(**STOPPED)
        functions.history.away = True
        answer = await functions.post(message)
        assert (answer.status, answer.headers["retry-after"], functions.rows) == (503, "1", [])
        functions.history.away = False
        assert (await functions.ask(message))["first"]

    run(scenario)


def test_without_a_claim_in_time_the_caller_is_told_to_ask_again(run: Run) -> None:
    async def scenario(functions: Functions) -> None:
        message, gate = transaction(**STOPPED), asyncio.Event()
        observe = functions.history.observe

        async def slow(*arguments: Any) -> Any:
            await gate.wait()
            return await observe(*arguments)

        functions.history.observe = slow  # type: ignore[method-assign,assignment]
        late = await functions.post(message, SHORT_MS)
        assert (late.status, late.headers["retry-after"]) == (503, "1")
        assert b"not_in_time" in late.body
        gate.set()
        answer = await functions.ask(message)
        assert answer == told(functions, answer["first"])

    run(scenario)


def test_without_a_model_rules_decide_and_the_answer_is_degraded(history_store: Store) -> None:
    async def scenario() -> None:
        functions = Functions(history)
        answer = await functions.ask(transaction(**STOPPED))
        assert (answer["decision"], answer["degraded"], answer["score"]) == ("REJECT", True, None)
        assert "NO_MODEL" in answer["reasons"]

    history = history_store.fresh()
    history_store.run(scenario())


def test_a_full_queue_is_answered_429(history_store: Store) -> None:
    async def scenario() -> None:
        functions = Functions(history, limits=BatchLimits(1, 1, longest_queue=1))
        functions.table.gate.clear()
        waiting = [asyncio.create_task(functions.post(transaction())) for _ in range(8)]
        await settled()
        functions.table.gate.set()
        statuses = [(await each).status for each in waiting]
        assert (statuses[0], statuses[-1]) == (200, 429)
        assert functions.metrics.value(ANSWERS, "429") == statuses.count(429)

    history = history_store.fresh()
    history_store.run(scenario())


@pytest.mark.parametrize(("token", "status"), [("Bearer known", 200), ("Bearer other", 401), (None, 401)])
def test_a_question_of_an_unknown_caller_is_refused(token: str | None, status: int) -> None:
    async def scenario() -> HttpAnswer:
        functions = Functions(MemoryHistoryAdapter())
        headers = {"Authorization": token} if token else {}
        return await functions.guarded.answer("POST", DECISIONS, headers, encoded(transaction()))

    answer = asyncio.run(scenario())
    assert (answer.status, answer.headers.get("www-authenticate")) == (status, None if status == 200 else "Bearer")


MARK = "39053344705"


@pytest.mark.parametrize(
    ("body", "status", "reason", "field"),
    [
        (b"{", 422, "not_json", None),
        (b"", 422, "not_json", None),
        (b"\xff", 422, "not_utf8", None),
        (b"x" * 70_000, 413, "too_large", None),
        (encoded(transaction(payer__tax_id=MARK + "x")), 422, "invalid_value", "payer.tax_id"),
        (encoded(transaction(payer__account=[MARK])), 422, "wrong_type", "payer.account"),
        (encoded(transaction(initiated_at=MARK)), 422, "invalid_value", "initiated_at"),
        (encoded(transaction(payee={"key": MARK})), 422, "missing_field", "payee.ispb"),
        (encoded({"end_to_end_id": MARK}), 422, "invalid_value", "end_to_end_id"),
    ],
)
def test_a_problem_names_the_field_and_never_its_value(
    body: bytes, status: int, reason: str, field: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> Any:
        return await Functions(MemoryHistoryAdapter()).post(body)

    caplog.set_level("DEBUG")
    answer = asyncio.run(scenario())
    problem = msgspec.json.decode(answer.body)
    assert (answer.status, problem["status"], problem["reason"]) == (status, status, reason)
    assert problem.get("field") == field
    assert answer.headers["content-type"] == "application/problem+json"
    assert MARK not in answer.body.decode() + caplog.text
