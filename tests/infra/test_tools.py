"""Tools are installed from locks with hashes, and the images of functions are like those of jobs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from infra.deploy.stage import DESK, FUNCTIONS, ROOT, stage
from infra.local.loopback import claim_port
from infra.local.reaper import signal_group
from tests.functions import test_staged
from tests.infra.cluster import WORKERS
from tests.infra.configuration import Configuration, plain
from tests.infra.matching import match
from tests.waiting import PATIENCE, until

TOOLS = ROOT / "infra" / "tools"
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
DOCKERFILE = (ROOT / "functions" / "Dockerfile").read_text("utf-8")


def test_every_tool_is_installed_by_its_hash() -> None:
    names = {path.stem for path in TOOLS.glob("*.in")}
    assert names == set(match(r"(?m)^TOOLS := (.*)$", MAKEFILE)[1].split())
    assert names == set(re.findall(r"\$\(TOOL_INSTALL\) infra/tools/(\w+)\.txt", MAKEFILE))
    assert "--require-hashes" in match(r"(?m)^TOOL_INSTALL := (.*)$", MAKEFILE)[1]
    by_name = re.findall(r"\$\(PIP_INSTALL\) (?!--no-deps)\S+", MAKEFILE)
    assert by_name == []


@pytest.mark.parametrize("path", sorted(TOOLS.glob("*.in")), ids=lambda path: path.stem)
def test_lock_has_the_named_versions(path: Path) -> None:
    packages = re.split(r"^(?=[\w.-]+==)", path.with_suffix(".txt").read_text("utf-8"), flags=re.M)[1:]
    assert packages
    assert all("--hash=sha256:" in package for package in packages)
    wanted = path.read_text("utf-8").split()
    assert {each.split()[0] for each in packages} >= set(wanted)


def test_the_image_of_a_function_is_built_like_that_of_the_jobs() -> None:
    jobs = (ROOT / "jobs" / "Dockerfile").read_text("utf-8")
    for line in (r"^ARG BASE=.*$", r"^RUN groupadd .*$", r"^USER .*$", r"^FROM .*$"):
        assert re.findall(line, DOCKERFILE, re.M) == re.findall(line, jobs, re.M), line
    # the options with which tests/functions/test_staged.py installs a staged source, and runs it with nothing else
    options = match(r"pip install (.*) -r /tmp/requirements.txt", DOCKERFILE)[1].split()
    assert set(options) == {"--no-deps", "--require-hashes", "--only-binary", ":all:"}
    assert '"--require-hashes", "--only-binary", ":all:"' in Path(test_staged.__file__).read_text("utf-8")


@pytest.mark.parametrize("name", [FUNCTIONS[0], DESK])
def test_the_command_of_the_image_starts_the_function(name: str, tmp_path: Path) -> None:
    """The staged source, the environment and the command of the Dockerfile, by a user's read-only folder."""
    folder = stage(name, tmp_path / "source")
    target = match(r"(?ms)^ENV PATH.*?FUNCTION_TARGET=\$\{(\w+)\} PORT=\d+$", DOCKERFILE)[1]
    assert f"ARG {target}\n" in DOCKERFILE
    port, log = claim_port(0, "--port"), tmp_path / "log"
    (command,) = re.findall(r'^CMD \["(.*)"\]$', DOCKERFILE, re.M)
    given = {"FUNCTION_TARGET": name, "PORT": str(port), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name(command))],
            cwd=folder,
            env=given,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:

        def answered() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE).status_code == 500
            except httpx.TransportError:
                return False

        until(answered)  # it is wired, and finds no settings
    finally:
        signal_group(process.pid, 9)
        process.wait()
    assert "GOOGLE_CLOUD_PROJECT" in log.read_text()


@pytest.mark.parametrize("name", WORKERS)
def test_the_launcher_of_the_image_starts_the_worker_as_that_of_the_buildpacks(name: str, tmp_path: Path) -> None:
    (pool,) = [
        each["containers"][0]
        for each in Configuration.read().resource("google_cloud_run_v2_worker_pool", "workers")["template"]
    ]
    (command,) = map(plain, pool["command"])
    assert f"COPY --from=build /launcher {command}\n" in DOCKERFILE
    launcher = tmp_path / "launcher"
    script = match(r"printf '(.*?)' > /launcher", DOCKERFILE)[1]
    with launcher.open("wb") as file:
        subprocess.run(["printf", script], check=True, stdout=file)
    launcher.chmod(0o755)
    folder = stage(name, tmp_path / "source")
    words = [*map(plain, pool["args"])]
    assert words[:2] == ["--", "python"]
    done = subprocess.run(
        [launcher, words[0], sys.executable, *words[2:], "--help"],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--health-port" in done.stdout
