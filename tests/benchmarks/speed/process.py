"""Processor time and memory of a pinned process and its descendants, from /proc."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
"""The core of the measured server, and the core of everything else."""
_TICKS = os.sysconf("SC_CLK_TCK")


# Linux groups processes by session, and niceness applies only within a group, so we set that of the group too.
_AS_NICE_AS_WE = 'echo "$0" 2> /dev/null > /proc/self/autogroup; exec "$@"'


def pinned(core: int, argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` on one core with the niceness of this process."""
    return ["sh", "-c", _AS_NICE_AS_WE, str(os.nice(0)), "taskset", "--cpu-list", str(core), *argv]


def group(pid: int) -> list[int]:
    """Return the ids of a process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in group(int(child)))]


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its descendants."""
    return sum(_cpu_ticks(each) for each in group(pid)) / _TICKS


def background_seconds(pid: int) -> float:
    """Return the processor time of a process and its descendants outside their main threads."""
    threads = (task for each in group(pid) for task in Path(f"/proc/{each}/task").iterdir() if task.name != str(each))
    return sum(int((task / "schedstat").read_text().split()[0]) for task in threads) / 1e9


def resident_mb(pid: int) -> float:
    """Return the memory of a process and its descendants in MB; pages shared after a fork count once."""
    first, *others = sorted((_memory(each) for each in group(pid)), reverse=True, key=lambda kb: kb["Rss"])
    private = sum(kb["Private_Clean"] + kb["Private_Dirty"] for kb in others)
    return (first["Rss"] + private) * 1024 / 1e6


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _memory(pid: int) -> dict[str, int]:
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {row[0].rstrip(":"): int(row[1]) for row in rows}
