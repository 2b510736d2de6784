"""Event files given to a replay: each is read in time order, or refused in one line."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs import replay
from tests.unit.event_files import PLAIN, READ, REFUSED, Case, report


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "pix-test")
    monkeypatch.setenv("PIX_HMAC_KEY", "a key of the tests that is long enough")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


def replayed(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, Any, str]:
    """Return exit code, result and standard error."""
    code = replay.main([str(source), "--out", str(tmp_path / "out"), *more])
    output = capsys.readouterr()
    assert list((tmp_path / "temporary").iterdir()) == [], "a replay leaves no folder behind"
    return code, json.loads(output.out.splitlines()[-1]), output.err


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "events [1]"
    path.write_bytes(content)
    return path


def initiated(folder: Path) -> list[Any]:
    return [
        at for file in sorted(folder.glob("score_events*")) for at in pq.read_table(file)["initiated_at"].to_pylist()
    ]


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_a_file_is_replayed_in_time_order(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result, errors = replayed(written(tmp_path, case.content), tmp_path, capsys)
    assert (code, result["outcome"]) == (0, "DONE")
    assert result["transactions"] + result["malformed"] == case.transactions - case.repeated
    assert result["duplicates"] >= case.repeated
    times = initiated(tmp_path / "out")
    assert len(times) == result["transactions"]
    assert times == sorted(times)
    assert case.answer in errors


def test_the_first_lines_are_those_in_time_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = READ["unsorted"].content
    _, result, _ = replayed(written(tmp_path, content), tmp_path, capsys, "--lines", "9")
    assert result["transactions"] == 9
    assert max(initiated(tmp_path / "out")).minute == 8


@pytest.mark.parametrize("content", [b"", report("2026-11-20T10:00:00Z")], ids=["empty", "only feedback"])
def test_a_file_without_transactions_gives_no_rows(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result, _ = replayed(written(tmp_path, content), tmp_path, capsys)
    assert (code, result["outcome"], result["transactions"]) == (0, "DONE", 0)


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_file_is_refused_in_one_line(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result, errors = replayed(written(tmp_path, case.content), tmp_path, capsys)
    assert (code, result["outcome"], result["error"]) == (1, "FAILED", "EventFileError")
    assert re.search(case.answer, result["reasons"][0])
    assert "Traceback" not in errors


def test_a_file_that_does_not_exist_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result, _ = replayed(tmp_path / "nowhere", tmp_path, capsys)
    assert (code, result["reasons"]) == (1, [f"{tmp_path / 'nowhere'}: No such file or directory"])


def test_a_pipe_is_read_once_and_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=(PLAIN,), daemon=True).start()
    code, result, _ = replayed(pipe, tmp_path, capsys)
    assert (code, result["transactions"], result["reports"]) == (0, 40, 4)


def test_a_pipe_has_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        replay.main(["/dev/stdin", "--out", str(tmp_path), "--checkpoint", str(tmp_path / "checkpoint")])
    assert refused.value.code == 2
    assert "--checkpoint needs a source that can be read again" in capsys.readouterr().err
