"""Show the parts of the local cloud that this machine has, and the cost of each missing one.

Exit status 0 if `make up` can start, 1 if not. Nothing is started or written; values of variables are not shown.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import webbrowser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from infra.local.environment import foreign, proxies
from infra.local.loopback import PORTS, listens
from infra.local.pubsub.google import find_emulator, find_java
from infra.local.valkey.launch import KINDS, find_server

HOME = Path(".local")
PYTHON = (3, 11)
GIB = 2**30
MEMORY_GIB = 2.0
"""Servers and functions take 0.6 GiB, and a demo of the default size 1.9 GiB, measured at its peak."""
DISK_GIB = 1.0
"""A demo of the default size writes 0.35 GiB."""
PACKAGES = ("bqemulator", "duckdb_extension_spatial", "functions_framework", "uvicorn")
PROGRAMS = {
    "gcloud": "no deployment from this machine",
    "prometheus": "no `make up ARGS=--prometheus`, and no tests of alerts",
    "bq": "no queries with `bq query`; the Python client needs no program",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: its state on this machine, and the cost of its absence; empty if nothing is missing."""

    part: str
    found: str
    cost: str = ""
    fatal: bool = False
    """The local cloud cannot start."""


def main() -> int:
    """Print the findings; return the exit status."""
    findings = list(examine(os.environ))
    console = Console(highlight=False)
    console.print(_table(findings))
    fatal = [finding.part for finding in findings if finding.fatal]
    if fatal:
        console.print(f"The local cloud cannot start: see {', '.join(fatal)}.", style="red", markup=False)
    else:
        console.print("The local cloud can start: run `make up`.")
    return 1 if fatal else 0


def examine(environment: Mapping[str, str], home: Path = HOME, ports: Mapping[str, int] = PORTS) -> Iterator[Finding]:
    """Yield the findings for a local cloud with its files in `home`, which listens on `ports`."""
    yield _python()
    yield _packages()
    yield _writable(home)
    yield _disk(home)
    yield _memory()
    yield _ports(ports)
    yield _valkey()
    yield from _pubsub(environment)
    yield from (_program(name, cost) for name, cost in PROGRAMS.items())
    yield _browser()
    yield _names("Proxies", proxies(environment), "loopback bypasses them")
    yield _names("Variables of real servers", foreign(environment), "the local cloud, the demo and tests ignore them")


def _python() -> Finding:
    found = f"{platform.python_version()}, {os.cpu_count()} processors"
    if sys.version_info < PYTHON:
        return Finding("Python", found, "3.11 or newer is needed: make install PYTHON=python3.11", fatal=True)
    return Finding("Python", found)


def _packages() -> Finding:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        return Finding(
            "Packages", f"without {', '.join(missing)}", "a server does not start: make install", fatal=True
        )
    return Finding("Packages", "installed")


def _writable(home: Path) -> Finding:
    folder = _existing(home)
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return Finding("Folder", f"{home} can be written")
    return Finding("Folder", f"{folder} cannot be written", "start with --home in another folder", fatal=True)


def _disk(home: Path) -> Finding:
    free = shutil.disk_usage(_existing(home)).free / GIB
    return Finding("Disk", f"{free:.1f} GiB free", _too_little(free, DISK_GIB, "a demo's files may not fit"))


def _memory() -> Finding:
    free = _available_memory() / GIB
    return Finding("Memory", f"{free:.1f} GiB available", _too_little(free, MEMORY_GIB, "a process may be killed"))


def _too_little(amount: float, needed: float, cost: str) -> str:
    return "" if amount >= needed else f"{cost}: {needed:g} GiB are needed"


def _available_memory() -> float:
    """Return the memory that a new process can use, in bytes; without Linux's estimate, all of the machine's."""
    estimate = Path("/proc/meminfo")
    if estimate.exists():
        fields = dict(line.split(":", 1) for line in estimate.read_text("ascii").splitlines())
        return float(fields["MemAvailable"].split()[0]) * 1024
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _ports(ports: Mapping[str, int]) -> Finding:
    taken = {name: port for name, port in ports.items() if listens(port)}
    if not taken:
        return Finding("Ports", f"free: {', '.join(map(str, ports.values()))}")
    found = f"in use: {', '.join(map(str, taken.values()))}"
    options = " ".join(f"--{name.replace('_', '-')}-port 0" for name in taken)
    return Finding(
        "Ports", found, f"end their programs, or run `.venv/bin/python -m infra.local {options}`", fatal=True
    )


def _valkey() -> Finding:
    for kind in KINDS:
        program = find_server(kind)
        if program is not None:
            return Finding("Valkey or Redis", f"{kind}: {program}")
    cost = "no history: install Valkey or Redis, such as by `apt install redis-server` or `brew install valkey`"
    return Finding("Valkey or Redis", "not found", cost, fatal=True)


def _pubsub(environment: Mapping[str, str]) -> Iterator[Finding]:
    emulator, java = find_emulator(environment), find_java(environment)
    yield Finding("Google's Pub/Sub emulator", *_found(emulator, "the embedded Pub/Sub is used, which is faster"))
    yield Finding("Java", *_found(java, "Google's Pub/Sub emulator does not run"))


def _program(name: str, cost: str) -> Finding:
    return Finding(name, *_found(shutil.which(name), cost))


def _browser() -> Finding:
    try:
        found = webbrowser.get().name
    except webbrowser.Error:
        return Finding("Browser", "not found", "open the model card and MLflow's page on another machine")
    return Finding("Browser", found)


def _names(part: str, names: list[str], effect: str) -> Finding:
    return Finding(part, f"{', '.join(names)}: {effect}" if names else "none set")


def _found(program: object, cost: str) -> tuple[str, str]:
    return ("not found", cost) if program is None else (str(program), "")


def _existing(path: Path) -> Path:
    """Return the path, or its nearest parent that exists."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def _table(findings: list[Finding]) -> Table:
    table = Table(*(Column(title, overflow="fold") for title in ("part", "found", "cost of a missing part")))
    for finding in findings:
        style = "red" if finding.fatal else "yellow" if finding.cost else ""
        table.add_row(*(escape(text) for text in (finding.part, finding.found, finding.cost)), style=style)
    return table


if __name__ == "__main__":
    sys.exit(main())
