"""Ends process groups whose owner has gone, also when it was killed with -9.

The owner holds the other end of this process's standard input and writes `+<group>` when it starts a group and
`-<group>` when it has stopped it. The end of the input means that the owner is gone. Unlike PR_SET_PDEATHSIG this
also reaches grandchildren, does not depend on which thread started a child, and works on macOS.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator

GRACE_SECONDS = 2.0


def remaining(lines: Iterable[str]) -> list[int]:
    """Return the groups that were started and not stopped, oldest first.

    >>> remaining(["+10", "+11", "-10"])
    [11]
    """
    groups: dict[int, None] = {}
    for line in lines:
        group = int(line[1:])
        if line[0] == "+":
            groups[group] = None
        else:
            groups.pop(group, None)
    return list(groups)


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False if there is no such group any more."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


def end_groups(groups: list[int]) -> None:
    """Terminate the groups, and kill the rest after the grace period."""
    deadline = time.monotonic() + GRACE_SECONDS
    alive = [group for group in reversed(groups) if signal_group(group, signal.SIGTERM)]
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = [group for group in alive if signal_group(group, 0)]
    for group in alive:
        signal_group(group, signal.SIGKILL)


def _input_lines() -> Iterator[str]:
    return (line.strip() for line in sys.stdin if line.strip())


def main() -> None:
    """Read the owner's lines until it ends, then end its remaining groups."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_groups(remaining(_input_lines()))


if __name__ == "__main__":
    main()
