"""Code and environment of a process, for the record of a run: a training is repeated only under the same ones."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from shared.settings import Settings

_LIBRARIES = ("msgspec", "numpy", "onnxruntime", "optuna", "pyarrow", "scikit-learn", "scipy", "skl2onnx")
"""Those whose version may change a model."""
_CHECKOUT = Path(__file__).parents[2]


def provenance(settings: Settings) -> dict[str, str]:
    """Return the commit and image of the code, and the versions of Python and of the libraries that train."""
    return {
        "commit": settings.commit or _checked_out() or "not known",
        "image": settings.image or "none",
        "python": platform.python_version(),
        **{f"library.{name}": version(name) for name in _LIBRARIES},
    }


def _checked_out() -> str:
    """Return the commit of this checkout, marked where files differ from it; empty outside of one."""
    git = shutil.which("git")
    if git is None or not (_CHECKOUT / ".git").exists():
        return ""
    asked = [git, "-C", str(_CHECKOUT), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-changed"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - arguments of our own
    return found.stdout.strip()
