"""Processor time and memory of a process, as Linux counts them."""

from __future__ import annotations

import os
from pathlib import Path


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int | None = None) -> float:
    """Return the peak memory of a process, by default this one, in MB.

    getrusage would include that of its parent before exec.
    """
    status = Path(f"/proc/{pid or 'self'}/status").read_text().splitlines()
    [line] = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def children_seconds() -> float:
    """Return the processor time of all children that have ended, in seconds."""
    times = os.times()
    return times.children_user + times.children_system
