"""The counters that the benchmark measures alone."""

from __future__ import annotations

from tests.benchmarks.handbook import counters
from tests.unit.benchmarks.handbook.transactions import transactions


def test_lean_counters_run_on_the_compiled_recurrence() -> None:
    assert counters.processor_seconds(transactions([True, False], [0, 200]), lambda _: None) >= 0
    assert len(counters.LEAN.span) == 10
