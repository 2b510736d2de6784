"""The exit codes and results of `jobs.control`."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from jobs import control
from jobs.cli import wiring
from shared.adapters.memory.learning import MemoryLedger
from shared.adapters.memory.serving import MemoryBlobs
from shared.errors import PreconditionFailed
from shared.learning.lifecycle.control import ControlCommands

ON = ["on", "--share", "0.05", "--pix-brl", "200", "--day-brl", "1000.50", "--month-brl", "20000"]


class Desk:
    """An operator's shell."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.blobs, self.ledger, self._capsys = MemoryBlobs(), MemoryLedger(), capsys

    def commands(self, _: object) -> ControlCommands:
        return ControlCommands(self.blobs, self.ledger, lambda: dt.datetime(2026, 11, 20, tzinfo=dt.UTC), "ana")

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        code = control.main(list(arguments))
        result: dict[str, Any] = json.loads(self._capsys.readouterr().out.splitlines()[-1])
        return code, result


@pytest.fixture
def desk(
    restored_process: None,  # noqa: ARG001 (a fixture for its effect)
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    desk = Desk(capsys)
    monkeypatch.setattr(wiring, "control", desk.commands)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "bank")
    return desk


def test_amounts_are_given_in_brl_and_a_review_has_a_price_of_its_own(desk: Desk) -> None:
    code, found = desk.run(*ON)
    assert (code, found["outcome"], found["recorded"]) == (0, "SWITCHED", True)
    budget = {"share": 0.05, "pix": 200_00, "day": 1_000_50, "month": 20_000_00, "review": 4_00}
    budget |= {"reject_share": 0.05, "reserved": 100_05}
    assert found["switch"]["budget"] == budget
    assert desk.run("show")[1]["switch"] == found["switch"]
    assert desk.run(*ON, "--review-brl", "5.00")[1]["switch"]["budget"] == budget | {"review": 5_00}
    own = budget | {"reject_share": 0.5, "reserved": 0}
    assert desk.run(*ON, "--reject-share", "0.5", "--reserved-brl", "0")[1]["switch"]["budget"] == own
    assert desk.run("off")[1]["switch"]["budget"] is None


def test_without_a_row_in_the_ledger_the_job_fails_until_the_row_is_there(desk: Desk) -> None:
    desk.ledger.away = True
    code, found = desk.run(*ON)
    assert (code, found["outcome"], found["recorded"]) == (1, "SWITCHED", False)
    desk.ledger.away = False
    assert desk.run("show")[0] == 0


def test_a_change_that_came_first_wins(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(name: str, data: bytes, if_generation: int) -> int:
        raise PreconditionFailed(f"{name} is not at generation {if_generation}: {len(data)} bytes")

    monkeypatch.setattr(desk.blobs, "write", overtaken)
    code, found = desk.run(*ON)
    assert (code, found["outcome"]) == (3, "SWITCH_LOST")


def test_without_the_bucket_the_job_fails(desk: Desk) -> None:
    desk.blobs.away = True
    code, found = desk.run("off")
    assert (code, found["error"]) == (1, "Unavailable")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["on"],
        [*ON[:2], "0", *ON[3:]],
        [*ON[:2], "nan", *ON[3:]],
        [*ON, "--pix-brl", "0"],
        [*ON, "--pix-brl", "1001"],
        [*ON, "--month-brl", "900"],
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_before_anything_is_read(desk: Desk, arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        control.main(arguments)
    assert not desk.blobs.objects
