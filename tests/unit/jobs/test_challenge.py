"""The exit codes and results of `jobs.challenge`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs import challenge
from jobs.cli import wiring
from shared.learning.lifecycle.guards import ArmCounts
from shared.scoring.challenge import CHALLENGER, CHAMPION
from tests.unit.learning.lifecycle.test_challenge import Desk


class Shell:
    """An operator's shell."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.desk, self._capsys = Desk(), capsys
        self.log = ""

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        code = challenge.main(list(arguments))
        printed = self._capsys.readouterr()
        self.log += printed.err
        result: dict[str, Any] = json.loads(printed.out.splitlines()[-1])
        return code, result


@pytest.fixture
def shell(
    restored_process: None,  # noqa: ARG001 (a fixture for its effect)
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    shell = Shell(capsys)
    monkeypatch.setattr(wiring, "challenge", lambda _: shell.desk.commands)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "bank")
    return shell


def test_each_option_takes_its_step(shell: Shell) -> None:
    steps = [(("v2", "--shadow"), 0.0), (("v2", "--share", "0.5"), 0.5), (("v2", "--ramp"), 0.5)]
    for arguments, share in steps:
        code, found = shell.run(*arguments)
        assert (code, found["outcome"], found["challenge"]["share"]) == (0, "STARTED", share)
    assert found["challenge"]["ramp"] is True
    assert shell.run("--status")[1]["arms"] == {}
    assert shell.run("v3", "--stop")[1]["outcome"] == "UNCHANGED"
    assert shell.run("v2", "--stop")[1]["outcome"] == "STOPPED"
    assert shell.run("v3", "--ramp")[1]["challenge"]["share"] == 0.01


def test_a_guard_that_trips_is_a_line_in_the_log(shell: Shell) -> None:
    shell.run("v2", "--share", "0.5")
    shell.desk.arms = {CHALLENGER: ArmCounts(1_000, held=500), CHAMPION: ArmCounts(1_000, held=5)}
    code, found = shell.run("--watch")
    assert (code, found["outcome"], found["challenge"]) == (0, "TRIPPED", None)
    assert found["reason"].startswith("guard: held")
    assert "challenge ended by a guard" in shell.log


def test_without_a_row_in_the_ledger_the_job_fails_until_the_row_is_there(shell: Shell) -> None:
    shell.desk.ledger.away = True
    code, found = shell.run("v2", "--shadow")
    assert (code, found["outcome"], found["recorded"]) == (1, "STARTED", False)
    shell.desk.ledger.away = False
    assert shell.run("--watch")[0] == 0
    assert [row.action for row in shell.desk.rows] == ["CHALLENGE_SHADOW"]


def test_a_move_that_came_first_wins(shell: Shell) -> None:
    shell.desk.once(lambda: shell.desk.operator.promote("v3", "better"))
    code, found = shell.run("v2", "--shadow")
    assert (code, found["outcome"]) == (3, "MOVE_LOST")


@pytest.mark.parametrize(
    ("arguments", "error"), [(["v1", "--shadow"], "Misconfigured"), (["none", "--ramp"], "BundleRefused")]
)
def test_what_cannot_be_tried_fails(shell: Shell, arguments: list[str], error: str) -> None:
    code, found = shell.run(*arguments)
    assert (code, found["error"]) == (1, error)
    assert shell.desk.challenge is None


@pytest.mark.parametrize(
    "arguments",
    [[], ["v2"], ["--shadow"], ["--ramp"], ["v2", "--share", "0"], ["v2", "--share", "1.5"], ["v2", "--watch"]],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(shell: Shell, arguments: list[str]) -> None:
    before = dict(shell.desk.blobs.objects)
    with pytest.raises(SystemExit, match="2"):
        challenge.main(arguments)
    assert shell.desk.blobs.objects == before
