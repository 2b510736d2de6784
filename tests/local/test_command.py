"""The end of every command: one line and an exit code."""

from __future__ import annotations

import os
import signal

import pytest
from rich.console import Console

from infra.local import command
from infra.local.cloud import ROOT
from infra.local.demo.__main__ import NEXT
from infra.local.errors import DOCTOR, LocalCloudError
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("restored_process")


class Destructor:
    """An object in whose destructor a signal arrives."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)
        until(lambda: False, patience=0.5)


def ended(work: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    assert callable(work)
    status = command.run("make up", work, Console())
    return status, capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_a_line_and_its_exit_code(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        os.kill(os.getpid(), number)
        return until(lambda: 0)

    assert ended(work, capsys) == (128 + number, "stopped\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_inside_a_destructor_still_ends_the_command(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        Destructor(number)
        return until(lambda: 0)

    assert ended(work, capsys) == (128 + number, "stopped\n")


def test_a_failure_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise LocalCloudError("no [room]")

    assert ended(work, capsys) == (1, f"make up: no [room]. {DOCTOR}\n")


def test_a_command_that_ends_by_itself_has_its_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: 0, capsys) == (0, "")


def test_the_readme_and_the_demo_name_the_same_next_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    for name, words in NEXT.items():
        (line,) = [line for line in readme.splitlines() if line.startswith(f"    {name} ")]
        for word in words.split(","):
            assert word in line
