"""Open the notebooks in JupyterLab on rows of a simulated world, or of a file of events: `make notebook`."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console

from infra.deploy.stage import ROOT
from infra.local import home as homes
from infra.local.command import run, shown
from infra.local.demo.events import HISTORY, LIVE, SEED, simulated
from infra.local.environment import local_environment
from infra.local.errors import LocalCloudError
from jobs.cli import interruption
from jobs.notebooks.rows import FOLDER

COMMAND = "make notebook"
NOTEBOOKS = ROOT / "jobs" / "notebooks"
JUPYTER = ROOT / ".local" / "jupyter" / "bin" / "jupyter-lab"
TRANSACTIONS = HISTORY + LIVE
"""The world of `make demo`."""
_SOURCE = "source.json"


class NotOpened(LocalCloudError):
    """There are no rows to look at, or no JupyterLab to look with."""


class Source(Struct, frozen=True):
    """Where the rows of a folder come from: a file of events with its size and time, or a simulation."""

    events: str | None = None
    stamp: tuple[int, int] | None = None
    transactions: int | None = None
    seed: int | None = None

    @classmethod
    def of(cls, options: argparse.Namespace) -> Source:
        """Return the source that options name. Raises NotOpened if there is no such file."""
        if options.events is None:
            return cls(transactions=options.transactions, seed=options.seed)
        if not options.events.is_file():
            raise NotOpened(f"{options.events} is not a file")
        found = options.events.stat()
        return cls(str(options.events.resolve()), (found.st_size, found.st_mtime_ns))


def main(arguments: list[str] | None = None) -> int:
    """Make the rows and open JupyterLab, until Ctrl-C; return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    return run(COMMAND, lambda: _open(options, console), console)


def _open(options: argparse.Namespace, console: Console) -> int:
    if not options.rows_only and not JUPYTER.exists():
        raise NotOpened(f"JupyterLab is missing: start it by `{COMMAND}`, which installs it")
    make_rows(options.folder.resolve(), Source.of(options), console)
    if options.rows_only:
        return 0
    console.print(f"JupyterLab on {shown(options.folder)}. Ctrl-C twice stops it.", soft_wrap=True)
    command = [str(JUPYTER), "--KernelSpecManager.ensure_native_kernel=False", *options.jupyter]
    return subprocess.run(command, cwd=NOTEBOOKS, env=_environment(options.folder.resolve()), check=False).returncode  # noqa: S603 (a program that make has installed)


def make_rows(folder: Path, source: Source, console: Console) -> None:
    """Put the rows of a source into a folder, unless they are there. Raises NotOpened if they cannot be made."""
    if (folder / _SOURCE).exists() and (folder / _SOURCE).read_bytes() == msgspec.json.encode(source):
        return
    if folder.exists() and not (folder / _SOURCE).exists() and any(folder.iterdir()):
        raise NotOpened(
            f"{shown(folder)} has files that this program did not make. Name another folder with --folder"
        )
    made = folder.with_name(folder.name + ".new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    try:
        _replay(
            Path(source.events)
            if source.events
            else simulated(source.transactions or TRANSACTIONS, source.seed or 0, made, console),
            made,
        )
        (made / _SOURCE).write_bytes(msgspec.json.encode(source))
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _replay(events: Path, folder: Path) -> None:
    """Write the rows of a file of events; reports may be of years after them. Raises NotOpened."""
    until = (dt.datetime.now(dt.UTC) + dt.timedelta(days=3650)).isoformat()
    command = [sys.executable, "-m", "jobs.replay", str(events), "--out", str(folder), "--until", until]
    # A key of its own: the pseudonyms of these rows are nowhere else.
    own = {"GOOGLE_CLOUD_PROJECT": "local", "PIX_HMAC_KEY": secrets.token_hex(32)}
    environment = local_environment(os.environ, own)
    done = subprocess.run(command, env=environment, check=False, stdout=subprocess.PIPE)  # noqa: S603 (our own job)
    if done.returncode:
        lines = done.stdout.decode(errors="replace").strip().splitlines()
        raise NotOpened(f"{shown(events)} cannot be replayed: {lines[-1] if lines else done.returncode}")
    (folder / "events.ndjson").unlink(missing_ok=True)


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of JupyterLab, whose kernel is this Python with this package.

    It finds the BigQuery of a running `make up`.
    """
    kernel = folder.parent / "kernels" / "python3"
    kernel.mkdir(parents=True, exist_ok=True)
    launched = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_bytes(
        msgspec.json.encode({"argv": launched, "display_name": "Python 3", "language": "python"})
    )
    running = homes.owner(homes.DEFAULT)
    own = {"JUPYTER_PATH": str(folder.parent), "PIX_ROWS": str(folder), "PYTHONPATH": str(ROOT)}
    return local_environment(os.environ, {**(running.exports if running else {}), **own})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.local.notebook", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, metavar="DIR", help="folder of the rows")
    parser.add_argument("--events", type=Path, metavar="FILE", help="events, one a line, in place of simulated ones")
    parser.add_argument("--transactions", type=int, default=TRANSACTIONS, metavar="N", help="simulated Pix")
    parser.add_argument("--seed", type=int, default=SEED, metavar="S", help="seed of the simulator")
    parser.add_argument("--rows-only", action="store_true", help="make the rows, and do not open JupyterLab")
    parser.add_argument(
        "jupyter", nargs="*", metavar="-- OPTION", help="options of JupyterLab, such as -- --no-browser"
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
