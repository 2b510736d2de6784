"""Event files given to the demo: each is ready before a server starts, or refused in one line."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from infra.local import command as shared_options
from infra.local.demo import __main__ as command
from infra.local.demo import run
from infra.local.demo.stream import Cut
from shared.contract.events_file import read
from shared.contract.events_order import check_order
from tests.builders import encoded, transaction
from tests.unit.event_files import PLAIN, READ, REFUSED, Case, report, stream

EARLY = transaction()

pytestmark = pytest.mark.usefixtures("restored_process")


class Stage:
    """Takes the place of the steps behind the checks, and records their input."""

    def __init__(self) -> None:
        self.cut: Cut | None = None
        self.lines = self.out_of_order = 0
        self.home: Path | None = None

    def demo(self, events: Path, where: Cut, home: Path, _console: Console) -> bool:
        self.cut, self.home = where, home
        self.lines = sum(1 for _ in read(events))
        self.out_of_order = check_order(events, lambda _: None).out_of_order
        return True


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    monkeypatch.setattr(shared_options, "DEFAULT", tmp_path / "worlds" / "world")
    (tmp_path / "worlds").mkdir()
    stage = Stage()
    monkeypatch.setattr(run, "demo", stage.demo)
    yield stage
    left = {path.name for path in (tmp_path / "worlds").iterdir()} - {"world", "world.lock"}
    assert not left, "the demo leaves no other folder behind"


def written(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "events [1]"
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_a_file_is_ready_before_a_server_starts(
    case: Case, stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--events", written(tmp_path, case.content), "--live", "12"]) == 0
    assert stage.cut is not None
    assert (stage.cut.history, stage.cut.live) == (case.transactions - 12, 12)
    assert stage.out_of_order == 0
    assert stage.cut.starts_at <= stage.cut.live_from <= stage.cut.ends_at
    assert case.answer in capsys.readouterr().out


OUTCOME = encoded(
    {
        "topic": "pix-outcomes",
        "data": {"end_to_end_id": EARLY["end_to_end_id"], "status": "SETTLED", "at": "2026-11-20T14:32:07Z"},
    }
)


@pytest.mark.parametrize(("more", "told"), [(b"", False), (OUTCOME + b"\n", True)], ids=["old", "with an outcome"])
def test_a_file_without_outcomes_is_known(more: bytes, told: bool, stage: Stage, tmp_path: Path) -> None:
    assert command.main(["--events", written(tmp_path, PLAIN + more), "--live", "12"]) == 0
    assert stage.cut is not None
    assert (stage.cut.outcomes, stage.cut.live, stage.lines) == (told, 12, 44 + told)


LIVE = ("--live", "12")
TOO_MANY = "40 transactions; LIVE=%s of them .*set LIVE to 10 to 39"
UNREADABLE = b'{"topic": "pix-transactions", "data": {}}\n'
FOR_THE_DEMO: dict[str, tuple[Case, tuple[str, ...]]] = {
    **{name: (case, LIVE) for name, case in REFUSED.items()},
    "empty": (Case(b"", "the file has 0 transactions; the demo needs more than 10"), ()),
    "only feedback": (Case(report("2026-11-20T10:00:00Z") * 50, "the file has 0 transactions"), ()),
    "a short file": (Case(b"".join(stream(count=10)), "the file has 10 transactions"), ()),
    "LIVE larger than the file": (Case(PLAIN, TOO_MANY % 5000), ("--live", "5000")),
    "LIVE as large as the file": (Case(PLAIN, TOO_MANY % 40), ("--live", "40")),
    "a tenth is too little": (Case(PLAIN, TOO_MANY % 4), ()),
    "the end of the calendar": (Case(PLAIN + report("9999-12-31T00:00:00Z"), "line 45 is of the year 9999"), LIVE),
    "no message readable": (Case(UNREADABLE * 50, "no message .* can be read"), LIVE),
}


@pytest.mark.parametrize(("case", "options"), FOR_THE_DEMO.values(), ids=FOR_THE_DEMO)
def test_a_file_is_refused_in_one_line(
    case: Case, options: tuple[str, ...], stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--events", written(tmp_path, case.content), *options]) == 1
    assert stage.cut is None
    refused = [line for line in capsys.readouterr().out.splitlines() if line.startswith("make demo: ")]
    assert len(refused) == 1
    assert re.search(case.answer, refused[0])


@pytest.mark.parametrize(("name", "answer"), [("nowhere", "No such file"), ("", "Is a directory")])
def test_a_path_that_is_no_file_is_refused(
    name: str, answer: str, stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--events", str(tmp_path / name)]) == 1
    assert stage.cut is None
    assert answer in capsys.readouterr().out


def test_a_pipe_is_read_once_and_copied(stage: Stage, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(PLAIN,), daemon=True)
    writer.start()
    assert command.main(["--events", str(pipe), "--live", "12"]) == 0
    writer.join()
    assert stage.lines == 44


@pytest.mark.parametrize("count", ["9", "5000000", "1" * 5000, "-1", "1e6", "", "\u0661\u0661"])
def test_numbers_of_transactions_have_bounds(count: str, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--transactions", "--live"):
        with pytest.raises(SystemExit) as refused:
            command.main([f"{option}={count}"])
        assert refused.value.code == 2
        assert "must be a whole number from 10 to 1,000,000" in capsys.readouterr().err
    assert stage.cut is None
