"""Serve the pages of MLflow on a world until Ctrl-C: runs, models and their cards: `make mlflow`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from infra.local import home as homes
from infra.local.command import add_home, run, shown
from infra.local.errors import LocalCloudError, PortInUse
from infra.local.experiments import database, tracking_uri
from infra.local.loopback import LOOPBACK, claim_port, free_port
from infra.local.processes import ChildProcess, Supervisor, answers_http
from jobs.cli import interruption

COMMAND = "make mlflow"
PORT = 5000


class NoWorld(LocalCloudError):
    """There is nothing to show in the folder."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    return run(COMMAND, lambda: _serve(_world(options.home), options.port, console), console)


def _world(home: Path) -> Path:
    """Return the path of the world in `home`, whose addresses hold. Raises NoWorld, HomeInUse, ForeignHome."""
    path = home.expanduser().resolve()
    marker = homes.read_marker(path)
    if marker is None or not database(path).exists():
        raise NoWorld(f"{shown(path)} has no trained model to show. `make demo` makes a world with two")
    if marker.path != str(path):
        with homes.claimed(path, COMMAND) as claimed:
            claimed.open()
    return path


def _serve(home: Path, port: int | None, console: Console) -> int:
    chosen = _port() if port is None else claim_port(port, "--port")
    url = f"http://{LOOPBACK}:{chosen}"
    server = ChildProcess(
        "MLflow",
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(chosen), "--workers", "1"),
            *("--backend-store-uri", tracking_uri(home)),
            *("--default-artifact-root", (home / "mlflow" / "artifacts").as_uri()),
        ],
        log_path=home / "mlflow.log",
        ready=answers_http(f"{url}/health"),
        env={"MLFLOW_DISABLE_TELEMETRY": "true"},
        cwd=home,
    )
    with Supervisor() as supervisor:
        with console.status("starting MLflow ..."):
            supervisor.start(server)
        console.print(f"MLflow on the world in {shown(home)}: {url}\nCtrl-C stops it.", soft_wrap=True)
        supervisor.wait()
    return 0


def _port() -> int:
    """Return MLflow's usual port, or a free one if another program has it."""
    try:
        return claim_port(PORT, "--port")
    except PortInUse:
        return free_port()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.local.mlflow_page", description=__doc__)
    parser.add_argument(
        "--port", type=int, metavar="PORT", help=f"port, 0 for any free one (default: {PORT}, or a free one)"
    )
    add_home(parser)
    return parser


if __name__ == "__main__":
    interruption.leave(main())
