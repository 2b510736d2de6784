"""The Makefile in a checkout that was moved, under a path with spaces, accents and apostrophes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with a virtual environment that is up to date."""
    checkout = tmp_path / "Ana's cópia (2)"
    (checkout / ".venv").mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    (checkout / ".venv" / "installed").write_text(f"{checkout.resolve()}\n", "utf-8")
    return checkout


def planned(checkout: Path, *arguments: str) -> str:
    """Return the commands that make would run."""
    make = ["make", "-n", *arguments]
    return subprocess.run(make, cwd=checkout, check=True, capture_output=True, encoding="utf-8").stdout


def test_an_environment_of_this_checkout_is_kept(checkout: Path) -> None:
    assert "venv" not in planned(checkout, "install")


def test_a_moved_checkout_makes_its_environment_again(checkout: Path) -> None:
    moved = checkout.with_name("moved")
    checkout.rename(moved)
    assert "-m venv --clear .venv" in planned(moved, "install")


def test_changed_requirements_are_installed_into_the_environment(checkout: Path) -> None:
    installed = checkout / ".venv" / "installed"
    newer = installed.stat().st_mtime + 10
    os.utime(checkout / "requirements.txt", (newer, newer))
    plan = planned(checkout, "install")
    assert "--require-hashes" in plan
    assert "--clear" not in plan


def test_pip_installs_into_the_environment_whatever_the_user_set(checkout: Path) -> None:
    (checkout / ".venv" / "installed").unlink()
    pips = [line for line in planned(checkout, "install").splitlines() if "pip install" in line]
    assert len(pips) == 2
    for line in pips:
        assert "PIP_USER=0" in line
        assert "-u PIP_TARGET" in line
        assert ".venv/bin/python -m pip" in line


def test_an_event_file_may_have_an_apostrophe(checkout: Path) -> None:
    """Run the demo's command with a Python that prints its last argument."""
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', "utf-8")
    python.chmod(0o755)
    events = "/tmp/João's events.ndjson"
    shown = subprocess.run(
        ["make", "demo", f"EVENTS={events}"], cwd=checkout, check=True, capture_output=True, encoding="utf-8"
    ).stdout
    assert events in shown.splitlines()
