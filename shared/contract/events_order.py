"""The order of event files by time, and their sorting in bounded memory."""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from shared.contract.event import micros
from shared.contract.events_file import EventFileError, lines, time_of

RUN_BYTES = 64 << 20
"""Lines that are sorted at once; with Python's overhead about twice as much memory."""
RUNS_AT_ONCE = 64
"""Files that are merged at once: systems allow a process at least 256 open ones."""
ADVANCE_LINES = 4096
_KEY = 20
_KEY_ZERO = 1 << 62  # keys are not negative, so that their digits sort as numbers do; micros of any date are smaller
_FIRST = dt.datetime.min.replace(tzinfo=dt.UTC)

Advance = Callable[[int], object]
"""Receives a number of lines done since the last call."""


class TimeOrder(NamedTuple):
    """The order of an event file. Lines without a readable time count as being in order."""

    lines: int
    out_of_order: int
    """Lines with a time before that of an earlier line."""
    latest: dt.datetime
    latest_line: int
    """Number of the line with the latest time; 0 if none has a time."""


def check_order(path: Path, advance: Advance) -> TimeOrder:
    """Read every line and return the order of the file. Raises EventFileError with the number of a bad line."""
    count = out_of_order = latest_line = 0
    latest = _FIRST
    for number, text in lines(path):
        at = time_of(text, number)
        count += 1
        if at is not None:
            if at >= latest:
                latest, latest_line = at, number
            else:
                out_of_order += 1
        if count % ADVANCE_LINES == 0:
            advance(ADVANCE_LINES)
    advance(count % ADVANCE_LINES)
    return TimeOrder(count, out_of_order, latest, latest_line)


def sort_by_time(path: Path, folder: Path, advance: Advance) -> Path:
    """Write the lines by time into a new file in `folder` and return it; `advance` counts each line twice.

    Lines of the same time keep their order, and a line without a readable time stays behind its predecessor. An
    external merge sort: runs of RUN_BYTES are sorted in memory, written to `folder`, and merged.
    Raises EventFileError, also if the disk is full.
    """
    try:
        runs = list(_write_runs(path, folder, advance))
        numbers = itertools.count()
        while (
            len(runs) > RUNS_AT_ONCE
        ):  # the merged run takes the place of its parts, so equal times keep their order
            runs[:RUNS_AT_ONCE] = [_merge(runs[:RUNS_AT_ONCE], folder / f"merged-{next(numbers)}")]
        target = folder / "events-by-time.ndjson"
        _merge(runs, target, _KEY, advance)
    except OSError as error:
        raise EventFileError(f"{path} cannot be sorted in {folder}: {error.strerror or error}") from error
    return target


def _write_runs(path: Path, folder: Path, advance: Advance) -> Iterator[Path]:
    run: list[bytes] = []
    size = 0
    numbers = itertools.count()
    for line in _keyed(path):
        run.append(line)
        size += len(line)
        if size >= RUN_BYTES:
            yield _write_run(run, folder / f"run-{next(numbers)}", advance)
            run, size = [], 0
    yield _write_run(run, folder / f"run-{next(numbers)}", advance)


def _write_run(run: list[bytes], target: Path, advance: Advance) -> Path:
    run.sort(key=itemgetter(slice(_KEY)))
    with target.open("wb") as file:
        file.writelines(run)
    advance(len(run))
    return target


def _keyed(path: Path) -> Iterator[bytes]:
    """Yield each line behind the digits of its time."""
    at = micros(_FIRST)
    for number, text in lines(path):
        found = time_of(text, number)
        at = at if found is None else micros(found)
        yield b"%0*d%b\n" % (_KEY, at + _KEY_ZERO, text)


def _merge(runs: Iterable[Path], target: Path, skip: int = 0, advance: Advance = lambda _: None) -> Path:
    """Merge sorted runs, remove them, and write the lines without their first `skip` bytes."""
    with ExitStack() as files, target.open("wb") as out:
        merged = heapq.merge(*(files.enter_context(run.open("rb")) for run in runs), key=itemgetter(slice(_KEY)))
        while batch := [line[skip:] for line in itertools.islice(merged, ADVANCE_LINES)]:
            out.writelines(batch)
            advance(len(batch))
    for run in runs:
        run.unlink()
    return target
