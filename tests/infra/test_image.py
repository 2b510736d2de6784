"""The package that jobs/Dockerfile installs is complete: modules, data files and entry points."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from infra.deploy.stage import ROOT

NOT_INSTALLED = {
    *("Dockerfile", "Dockerfile.spark", "MLproject", "requirements.txt", "FEATURES.md"),
    *("exploration.ipynb", "question.ipynb"),
}


def _copied() -> list[str]:
    """Return the paths that the Dockerfile copies before it installs the package."""
    text = (ROOT / "jobs" / "Dockerfile").read_text("utf-8").partition("WORKDIR /tmp/source")[2].partition("RUN")[0]
    return [name for line in re.findall(r"^COPY (.*) \S+$", text, re.M) for name in line.split()]


def test_wheel_of_the_image_holds_modules_and_data_files(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in _copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(tmp_path), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (points,) = [archive.read(name).decode() for name in names if name.endswith("/entry_points.txt")]
    files = [path for name in ("shared", "jobs") for path in (ROOT / name).rglob("*") if path.is_file()]
    kept = [path for path in files if path.parent.name != "__pycache__" and path.name not in NOT_INSTALLED]
    wanted = {path.relative_to(ROOT).as_posix() for path in kept}
    assert wanted
    assert not wanted - names
    assert "google = shared.adapters.mlflow.auth:GoogleRequestAuthProvider" in points
