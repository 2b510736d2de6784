"""The progress of a job on a terminal and elsewhere."""

from __future__ import annotations

import io
import re

from rich.console import Console

from jobs.cli.console import Steps


def shown(terminal: bool) -> str:
    screen = io.StringIO()
    steps = Steps(Console(file=screen, force_terminal=terminal, width=100))
    with steps("search") as advance:
        advance(7, 30, "best 0.712")
    assert list(steps.seconds) == ["search"]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())


def test_a_terminal_shows_the_progress_of_a_step() -> None:
    assert "7/30  best 0.712" in shown(terminal=True)


def test_without_a_terminal_a_finished_step_is_one_line() -> None:
    assert re.fullmatch(r" +\d+\.\d\d s  search\n", shown(terminal=False))
