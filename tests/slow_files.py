"""Files of tests by their duration, so that those of minutes do not come last, on one worker beside idle ones."""

from __future__ import annotations

from collections.abc import Mapping

SECONDS: Mapping[str, float] = {
    "tests/e2e/test_demo.py": 300,
    "tests/chaos/test_faults.py": 190,
    "tests/e2e/test_desk.py": 150,
    "tests/local/test_up.py": 150,
    "tests/functions/test_rotation.py": 150,
    "tests/contract/test_training_sample.py": 120,
    "tests/local/test_monitoring_benchmark.py": 120,
    "tests/contract/test_sharded_tables.py": 120,
    "tests/functions/test_skew.py": 120,
    "tests/contract/test_googlesql.py": 110,
    "tests/unit/infra/local/simulator/test_leaks.py": 80,
    "tests/unit/learning/lifecycle/test_retraining.py": 70,
    "tests/unit/adapters/spark/test_engine.py": 60,
    "tests/unit/adapters/spark/test_training.py": 60,
    "tests/chaos/test_pointer.py": 60,
    "tests/e2e/test_stream.py": 60,
    "tests/functions/test_personal_data.py": 60,
    "tests/contract/test_rotated_history.py": 60,
    "tests/local/test_spark_demo.py": 60,
    "tests/unit/replay/test_sharded.py": 60,
}
"""Seconds on a machine with other load, rounded; of a file that is not here, so few that its turn does not matter."""


def seconds(file: str) -> float:
    """Return the duration of a file by its path below the checkout.

    >>> seconds("tests/e2e/test_demo.py") > seconds("tests/test_new.py")
    True
    """
    return SECONDS.get(file, 0.0)
