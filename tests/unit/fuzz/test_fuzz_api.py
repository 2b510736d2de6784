"""No question to the API is answered 5xx, or by a problem that repeats a value of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.serving.http.problems import MALFORMED, HttpAnswer, problem
from tests.builders import encoded, transaction
from tests.fuzz.api import Api, questions, wrong
from tests.unit.fuzz.test_fuzz import JSON

RUNS = 2_000
BATCH = 100


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    running = Api()
    yield running
    running.close()


def test_mutated_questions_are_answered(api: Api) -> None:
    asked = list(questions(RUNS, seed=1))
    for start in range(0, RUNS, BATCH):
        api.check(asked[start : start + BATCH])
    assert api.statuses[200] > RUNS / 50, "otherwise only the refusal of questions would be tested"
    assert api.statuses[422] > RUNS / 10


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=2_000) | JSON.map(encoded))
def test_arbitrary_questions_are_answered(api: Api, question: bytes) -> None:
    api.check([question])


def test_a_wrong_answer_would_be_found() -> None:
    question = encoded(transaction(payer__tax_id="39053344705"))
    assert wrong(question, HttpAnswer(503, b"{}"))
    assert wrong(question, problem(MALFORMED, "invalid_value", "39053344705"))
    assert wrong(question, HttpAnswer(200, encoded({"end_to_end_id": "E1"})))
    assert not wrong(question, problem(MALFORMED, "invalid_value", "payer.tax_id"))
