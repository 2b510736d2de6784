"""A staged source has all imports of its function and none of training, and runs with its own lock alone."""

import datetime as dt
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from infra.deploy.smoke import outcome
from infra.deploy.stage import ASKED, DESK, FUNCTIONS, stage
from infra.local import desk
from infra.local.cloud import LocalCloud
from tests.builders import encoded, med_report, push_body, transaction
from tests.functions.instance import Instance
from tests.functions.test_score import scores
from tests.functions.world import ask, deliver, url
from tests.waiting import PATIENCE

OFFLINE = re.compile(r"NewConnectionError|NameResolutionError|ConnectTimeout|ProxyError")
TRAINING = ("sklearn", "mlflow", "pandas", "numba", "pyarrow", "joblib", "skl2onnx", "skops")


@pytest.mark.parametrize("function", [*FUNCTIONS, DESK])
def test_the_staged_folder_imports_without_training(function: str, tmp_path: Path) -> None:
    folder = stage(function, tmp_path / "source")
    blocked = f"""
import sys
for name in {TRAINING!r}:
    sys.modules[name] = None
sys.path.insert(0, {str(folder)!r})
import main, shared
{"" if function in (*ASKED, DESK) else "import pull"}
assert shared.__file__.startswith({str(folder)!r})
assert callable(main.{function})
import shared.adapters.otel
assert "opentelemetry.sdk" not in sys.modules, "a cold start pays for metrics"
"""
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    locked = (folder / "requirements.txt").read_text()
    assert not [name for name in ("scikit-learn", *TRAINING) if f"\n{name}==" in locked]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", metafunc.config.getoption("--pythons").split(","))


def interpreter(version: str) -> str | None:
    """Return an interpreter of that version: this one, one on the PATH, or one that pyenv has."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        found.insert(0, sys.executable)
    for path in filter(None, found):  # a shim of pyenv may exist without its version
        printed = subprocess.run([path, "-V"], capture_output=True, text=True, check=False)
        if printed.stdout.startswith(f"Python {version}."):
            return path
    return None


def installed(version: str, lock: Path, folder: Path) -> Path:
    """Return the Python of a new virtual environment with exactly the packages of the lock."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    own = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(own), "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-compile", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(lock)]
    done = subprocess.run([*pip, *options], capture_output=True, text=True, check=False)
    if done.returncode and OFFLINE.search(done.stderr):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    return own


def test_the_staged_desk_runs_with_its_own_lock_alone(cloud: LocalCloud, tmp_path: Path, version: str) -> None:
    folder = stage(DESK, tmp_path / "source")
    python = installed(version, folder / "requirements.txt", tmp_path / "venv")
    instance = Instance(
        cloud, tmp_path / "log", DESK, desk.environment(), python=python, source=folder, ready="ready"
    )
    try:
        page = httpx.get(instance.address, timeout=PATIENCE)
        assert page.status_code == 200, instance.log.read_text()
        assert "Mesa de análise" in page.text
        assert httpx.get(f"{instance.address}static/desk.css", timeout=PATIENCE).status_code == 200
    finally:
        instance.kill()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_staged_folder_runs_with_its_own_lock_alone(
    cloud: LocalCloud, tmp_path: Path, function: str, version: str
) -> None:
    folder = stage(function, tmp_path / "source")
    python = installed(version, folder / "requirements.txt", tmp_path / "venv")
    instance = Instance(cloud, tmp_path / "log", function, python=python, source=folder)
    try:
        pix = transaction()
        report = med_report(pix["end_to_end_id"], report_id=f"staged-{version}")
        settled = outcome(pix, dt.datetime.now(dt.UTC))
        if function in ASKED:
            answer = httpx.post(f"{instance.address}v1/decisions", json=pix, timeout=PATIENCE)
            assert answer.json()["first"], instance.log.read_text()
            return
        message = {"score": pix, "outcome": settled, "label": report}[function]
        if function != "score":
            assert deliver(url(cloud, "score"), [push_body(encoded(pix))]) == [204]
        assert deliver(instance.address, [push_body(encoded(message))]) == [204], instance.log.read_text()
        if function == "score":
            (row,) = scores(cloud, [pix])
            assert row.decision
        elif function == "outcome":
            sql = "SELECT status FROM pix.outcomes WHERE end_to_end_id = @id"
            (row,) = ask(cloud, sql, id=pix["end_to_end_id"])
            assert row.status == "SETTLED"
        else:
            (row,) = ask(cloud, "SELECT verdict FROM pix.feedback WHERE report_id = @id", id=report["report_id"])
            assert row.verdict == "FRAUD"
    finally:
        code, _ = instance.terminate()
        instance.kill()
    assert code == 0
