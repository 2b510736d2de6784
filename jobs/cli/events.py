"""Event files of the command line: pipes are copied, and files out of time order are sorted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from rich.progress import Progress

from shared.contract.events_file import EventFileError
from shared.contract.events_order import TimeOrder, check_order, sort_by_time


class PreparedEvents(NamedTuple):
    """An event file that can be read more than once, in time order."""

    path: Path
    order: TimeOrder
    """The order of the file before."""


def prepared(path: Path, folder: Path, progress: Progress) -> PreparedEvents:
    """Read an event file once, and return it, or its copy in `folder` if it is a pipe or had to be sorted.

    Raises EventFileError with the number of a bad line.
    """
    source = path if is_rereadable(path) else _copied(path, folder)
    checking = progress.add_task("check the order of events", total=None)
    order = check_order(source, lambda count: progress.advance(checking, count))
    progress.update(checking, total=order.lines)
    if not order.out_of_order:
        return PreparedEvents(source, order)
    sorting = progress.add_task("sort the events by time", total=2 * order.lines)
    by_time = sort_by_time(source, folder, lambda count: progress.advance(sorting, count))
    progress.console.print(
        f"sorted {path} by time: {order.out_of_order:,} of {order.lines:,} lines were out of order",
        markup=False,
        soft_wrap=True,
    )
    return PreparedEvents(by_time, order)


def is_rereadable(path: Path) -> bool:
    """Return whether each opening of the path reads the same bytes; a path that does not exist counts as well."""
    device = any(path.is_relative_to(folder) for folder in ("/dev", "/proc"))  # such as /dev/stdin
    return not (device or path.is_fifo())


def _copied(path: Path, folder: Path) -> Path:
    target = folder / "events"
    try:
        with path.open("rb") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    except OSError as error:
        raise EventFileError(f"{path} cannot be copied to {folder}: {error.strerror or error}") from error
    return target
