"""Run a module with a clock that is ahead or behind: `python -m tests.benchmarks.faults.clock SECONDS MODULE ...`.

The two clocks of the product are those of its composition roots, so nothing else has to be replaced.
"""

from __future__ import annotations

import datetime as dt
import runpy
import sys
from collections.abc import Sequence

from jobs.cli import wiring
from shared.wiring import common

DAY = 86_400.0


def with_clock(command: Sequence[str], seconds: float) -> list[str]:
    """Return a command `python -m MODULE ...` whose clock is so many seconds ahead.

    >>> with_clock(["python", "-m", "jobs.repair", "--rows", "5"], -2.0)
    ['python', '-m', 'tests.benchmarks.faults.clock', '-2.0', 'jobs.repair', '--rows', '5']
    """
    python, flag, *rest = command
    return [python, flag, "tests.benchmarks.faults.clock", str(seconds), *rest]


def shift(seconds: float) -> None:
    """Put the clocks of functions and jobs ahead, in this process."""
    functions, jobs, ahead = common.now, wiring.now, round(seconds * 1e6)
    common.now = lambda: functions() + ahead
    wiring.now = lambda: jobs() + dt.timedelta(microseconds=ahead)


def main() -> None:
    """Run the module."""
    seconds, module = float(sys.argv[1]), sys.argv[2]
    shift(seconds)
    del sys.argv[:2]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
