"""The order of test files."""

from pathlib import Path

from tests.slow_files import SECONDS


def test_each_slow_file_is_there() -> None:
    root = Path(__file__).parents[2]
    assert [name for name in SECONDS if not (root / name).is_file()] == []
