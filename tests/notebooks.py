"""Run notebooks of `jobs/notebooks` as a reader would."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

import jobs.notebooks

FOLDER = Path(jobs.notebooks.__file__).parent
SECONDS = 600


def notebook(name: str) -> Any:
    """Return a notebook as it is stored."""
    return nbformat.read(FOLDER / name, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types


def last_shown(name: str) -> dict[str, Any]:
    """Run a notebook in its own folder, in the environment of this process; return the dict in its last cell."""
    found = notebook(name)
    with warnings.catch_warnings():  # of the client's sockets, which belong to its own loop
        warnings.simplefilter("ignore")
        NotebookClient(
            found, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": FOLDER}}
        ).execute()
    shown: dict[str, Any] = ast.literal_eval(found.cells[-1].outputs[0]["data"]["text/plain"])
    return shown
