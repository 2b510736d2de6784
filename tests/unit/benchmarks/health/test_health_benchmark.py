"""The benchmark of health: its parts, their figures, and its last line."""

from __future__ import annotations

import argparse
import json
import subprocess

import pytest

from tests.benchmarks.health import shadow
from tests.benchmarks.health.__main__ import FIGURES, PARTS, main
from tests.benchmarks.health.part import Found, Part


def _counted(options: argparse.Namespace) -> Found:
    return Found({"causes": options.planted, "tried": 3}, good=options.planted == 10)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--planted", type=int, default=10)


PLANTED = Part("planted", ("causes",), _counted, _add)


def test_each_figure_belongs_to_one_part() -> None:
    named = [name for part in PARTS for name in part.figures]
    assert len(named) == len(set(named))
    assert set(named) <= set(FIGURES)
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_the_last_line_has_every_figure_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], [PLANTED]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(line) == list(FIGURES)
    assert line["causes"] == 10
    assert line["shadow_ratio"] is None


def test_a_figure_beyond_its_limit_fails() -> None:
    assert main(["--planted", "9"], [PLANTED]) == 1


def test_a_part_that_is_not_chosen_does_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    other = Part("other", ("shadow_ratio",), lambda _: Found({"shadow_ratio": 0.95}, good=True))
    assert main(["--only", "other"], [PLANTED, other]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["causes"], line["shadow_ratio"]) == (None, 0.95)


def test_a_speed_that_could_not_be_measured_is_null_and_not_good(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = subprocess.CompletedProcess([], 1, "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: broken)
    options = argparse.Namespace(shadow_seconds=1.0, shadow_transactions=9)
    assert shadow.shadowed(options) == Found({"shadow_ratio": None}, good=False)
    measured = subprocess.CompletedProcess([], 0, 'a table\n{"shadow_ratio": 0.93}\n')
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: measured)
    assert shadow.shadowed(options) == Found({"shadow_ratio": 0.93}, good=True)
