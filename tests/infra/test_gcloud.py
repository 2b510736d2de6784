"""Every gcloud command of the scripts and documents is one that gcloud itself accepts, by its own linter, offline."""

import itertools
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.deploy.stage import ROOT
from tests.infra.shell_commands import commands

TEXTS = (*sorted((ROOT / "infra" / "deploy").glob("*.sh")), *sorted((ROOT / "infra").glob("*.md")))
REMOTE = "gcloud artifacts docker images scan x --remote --format=value(response.scan)"
"""The form of the command of scan.sh whose option is in a variable."""


def _called() -> set[str]:
    """Return the commands of all texts, in the linter's spelling: `#` ends one, and no option begins with a quote.

    A share of traffic is a number. What follows a lone `--` is for the program that gcloud starts, but the linter
    takes it for gcloud's own.
    """
    every = (command for path in TEXTS for command in commands("gcloud", path.read_text("utf-8")))
    found = (itertools.takewhile(lambda word: word != "--", command) for command in every)
    spelled = {"#": "x", "--to-revisions=x=x": "--to-revisions=x=1"}
    return {" ".join(_quoted(_replaced(word, spelled)) for word in command) for command in found}


def _replaced(word: str, spelled: dict[str, str]) -> str:
    for old, new in spelled.items():
        word = word.replace(old, new)
    return word


def _quoted(word: str) -> str:
    option, is_option, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return option + is_option + (shlex.quote(value) if value else "")


def _refusals(tool: str, folder: Path, called: set[str]) -> dict[str, str]:
    """Return the reason of each command that gcloud refuses."""
    (folder / "commands.json").write_text(json.dumps([{"command_string": each} for each in sorted(called)]), "utf-8")
    environment = os.environ | {"CLOUDSDK_CONFIG": str(folder), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    command = [tool, "meta", "lint-gcloud-commands", f"--commands-file={folder / 'commands.json'}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)
    assert len(results) == len(called)
    return {each["command_string"]: each["error_message"] for each in results if not each["success"]}


@pytest.fixture(scope="module")
def gcloud() -> str:
    found = shutil.which("gcloud")
    if not found:
        pytest.skip("gcloud is not installed, so its commands are not checked against it")
    return found


def test_gcloud_accepts_every_command_of_scripts_and_documents(gcloud: str, tmp_path: Path) -> None:
    called = _called() | {REMOTE}
    assert len(called) >= 40
    assert _refusals(gcloud, tmp_path, called) == {}


def test_gcloud_refuses_an_option_that_a_command_lacks(gcloud: str, tmp_path: Path) -> None:
    wrong = "gcloud artifacts docker images list-vulnerabilities x --filter=a"
    (reason,) = _refusals(gcloud, tmp_path, {wrong}).values()
    assert "unrecognized arguments: --filter=a" in reason
