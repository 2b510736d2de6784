"""The rows that the benchmark of training sets writes are those that a training takes."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.training_set import ours, write_files


def test_written_rows_are_read_checked_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    write_files(folder, 4_000)
    assert ours(folder)["rows"] == 4_000
