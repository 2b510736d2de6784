"""Run a job on the world of a running `make up`: python -m infra.local.job monitor --days 7"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from rich.console import Console

from infra.deploy.stage import ROOT
from infra.local.command import add_home, run
from infra.local.environment import local_environment
from infra.local.errors import LocalCloudError
from infra.local.query import running
from jobs.cli import interruption

JOBS = ROOT / "jobs"


class NoSuchJob(LocalCloudError):
    """There is no job of that name."""


def main(arguments: list[str] | None = None) -> int:
    """Run the job and return its exit status."""
    options = _parser().parse_args(arguments)
    return run("job", lambda: _run(options), Console(highlight=False))


def _run(options: argparse.Namespace) -> int:
    names = sorted(path.stem for path in JOBS.glob("[a-z]*.py"))
    if options.name not in names:
        raise NoSuchJob(f"there is no job {options.name}; there are {', '.join(names)}")
    environment = local_environment(os.environ, running(options.home).exports)
    command = [sys.executable, "-m", f"jobs.{options.name}", *options.arguments]
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 (our own job)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.local.job", description=__doc__)
    add_home(parser)
    parser.add_argument("name", metavar="JOB", help="a module of jobs/")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its arguments")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
