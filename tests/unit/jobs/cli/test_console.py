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


def test_a_terminal_shows_how_far_a_step_is() -> None:
    assert "7/30  best 0.712" in shown(terminal=True)


def test_elsewhere_a_step_is_one_line_once_it_is_done() -> None:
    assert re.fullmatch(r" +\d+\.\d\d s  search\n", shown(terminal=False))
