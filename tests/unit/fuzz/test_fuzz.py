"""Every delivery is answered with 204 and leaves exactly one row: by Hypothesis, and briefly by atheris."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.builders import encoded, push_body, transaction
from tests.fuzz.functions import Functions
from tests.fuzz.mutations import FUNCTIONS, mutated, plain, seeds

SEEDS = seeds()
SHARED = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
ROOT = Path(__file__).parents[3]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def functions() -> Iterator[Functions]:
    running = Functions()
    yield running
    running.close()


@SHARED
@given(st.lists(st.tuples(st.sampled_from(SEEDS), st.integers(0, 2**32)), min_size=1, max_size=40))
def test_mutated_delivery(functions: Functions, chosen: list[tuple[tuple[int, bytes], int]]) -> None:
    functions.check([(to, mutated(body, random.Random(seed), plain)) for (to, body), seed in chosen])


@SHARED
@given(st.binary(max_size=2_000) | JSON.map(encoded), st.integers(0, FUNCTIONS - 1))
@example(push_body(b'{"a":' * 100_000), 0)
@example(b"[" * 1_000_000, 1)
@example(push_body(encoded(transaction(payee__key="\ud800"))), 0)
def test_arbitrary_body(functions: Functions, body: bytes, to: int) -> None:
    functions.check([(to, body)])


@SHARED
@given(st.binary(min_size=1, max_size=2_000) | JSON.map(encoded), st.integers(0, FUNCTIONS - 1))
def test_arbitrary_message(functions: Functions, data: bytes, to: int) -> None:
    functions.check([(to, push_body(data))])


def test_many_mutated_deliveries_are_valid(functions: Functions) -> None:
    """Otherwise the fuzzers would only test the refusal of messages."""
    chance = random.Random(1)
    bodies = [(to, mutated(body, chance, plain)) for to, body in chance.choices(SEEDS, k=500)]
    assert 0.2 < functions.check(bodies) / len(bodies) < 0.9


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed: make fuzz")
def test_a_short_run_guided_by_coverage_finds_no_failure() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--runs", "3000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=100)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["inputs"], result["failures"]) == (3000, 0)
    assert result["used"] > 300
