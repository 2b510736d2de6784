"""The steps of the demo, in order."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from infra.local.cloud import LocalCloud
from infra.local.demo.report import DemoResult, LoadPhases, Queries, TimeRange, collect, render
from infra.local.demo.stream import Cut, moment, report_delay
from infra.local.demo.traffic import StreamPublisher
from infra.local.demo.watch import RowWatch
from jobs.cli.console import bar
from jobs.cli.interruption import deferred
from shared.contract.events_file import Line, read
from shared.contract.topics import TRANSACTIONS
from shared.settings import MATURITY_DAYS, POINTER_TTL_SECONDS

CALM, BURST = 0.05, 0.5  # shares of the live part before the retraining: at a steady pace, then as fast as possible
CALM_SECONDS = 8.0
RETRAIN_SECONDS = 45.0  # typical retraining; the traffic beside it is paced to last longer
RESERVE = 0.25  # share of the last part that is kept for the retrained model
SPANS_OF_MATURITY = 1.5  # shorter histories have too few matured labels
DRAIN_SECONDS = 60.0  # without a new row
SHORT_SEARCH = ("--trials", "6")  # a trial for each family and one more, to keep the demo short
JOB_GRACE_SECONDS = 15.0  # an interrupted job ends within 10 s, as Cloud Run demands
JOB_NICENESS = 10  # a job in the cloud has its own CPUs; here it must not slow the functions


class DemoFailed(Exception):
    """A step of the demo failed; the message has the step and the reason."""


def demo(events: Path, where: Cut, home: Path, console: Console) -> int:
    """Run every step and return the exit status. Raises DemoFailed, LocalCloudError, PixError."""
    started = time.monotonic()
    console.print(
        f"{where.history:,} transactions of history from {where.starts_at:%Y-%m-%d}, then {where.live:,} live ones"
    )
    with (
        _status(console) as show,
        LocalCloud(
            home / "cloud",
            pubsub="embedded",  # Google's emulator pushes several times slower
            on_step=show,
            maturity_days=_maturity(events, where, console),
            deadline_seconds=float("inf"),  # the events happened before they are streamed ...
            ahead_seconds=float("inf"),  # ... or will happen: a file has dates of its own
        ) as cloud,
    ):
        _job(cloud, "replay", str(events), "--lines", str(where.line), "--state", cloud.settings.state)
        first = _retrain(cloud, console, where.live_from, promote="always")
        show("functions")
        cloud.start_functions()
        since = _now()
        publisher = StreamPublisher(cloud.settings.project)
        queries = Queries(cloud.bigquery(), cloud.settings.dataset, cloud.settings.maturity_days, since)
        traffic, second = _live(cloud, events, where, publisher, queries, console)
        publisher.close()
        with console.status("waiting for the last rows ..."):
            _drain(queries, publisher)
        end = where.ends_at + dt.timedelta(days=cloud.settings.maturity_days)
        with console.status("querying BigQuery ..."):
            result = collect(queries, publisher.sent, traffic, end, second)
    console.print(render(result))
    console.print(f"Done in {time.monotonic() - started:.0f} s. {_verdict(result, first, second)}")
    console.print(NEXT, soft_wrap=True)
    return 0 if _succeeded(result, second) else 1


NEXT = """
Try next:
  make up                                              the local cloud to publish to and to query
  make demo TRANSACTIONS=50000 SEED=3                  more traffic, another world
  .venv/bin/python -m infra.local.simulator --help     event files of your own, for make demo EVENTS=file.ndjson"""


def _maturity(events: Path, where: Cut, console: Console) -> float:
    """Return the maturity window in days; short histories get one from their own report delays."""
    span = where.history_span / dt.timedelta(days=1)
    if span >= SPANS_OF_MATURITY * MATURITY_DAYS:
        return MATURITY_DAYS
    delay = report_delay(events, where)
    days = min(MATURITY_DAYS, span / 3 if delay is None else delay / dt.timedelta(days=1))
    console.print(
        f"The history lasts {span:.1f} days, so here an unreported Pix counts as legitimate after {days:.1f} days "
        f"instead of {MATURITY_DAYS:g}."
    )
    return days


def _job(cloud: LocalCloud, name: str, *arguments: str) -> str:
    """Run a job in its own process, as in production; return its standard output. Raises DemoFailed."""
    with _running_job(cloud, name, *arguments) as process:
        output, _ = process.communicate()
    if process.returncode:
        raise DemoFailed(f"jobs.{name} ended with {process.returncode}: {output.strip()[-500:]}")
    return output


@contextmanager
def _running_job(cloud: LocalCloud, name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a job, and end it with the block if it still runs then."""
    process = None
    try:
        with deferred():
            process = subprocess.Popen(  # noqa: S603 (our own job)
                [sys.executable, "-m", f"jobs.{name}", *arguments],
                env={**os.environ, **cloud.environment},
                preexec_fn=lambda: os.nice(JOB_NICENESS),
                stdout=subprocess.PIPE,
                text=True,
            )
        yield process
    finally:
        if process is not None:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(JOB_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _retrain(cloud: LocalCloud, console: Console, as_of: dt.datetime, promote: str) -> str | None:
    """Train and return the promoted version, None if no model was promoted."""
    console.print(f"training on the labels known at {as_of:%Y-%m-%d %H:%M}")
    return _served(_job(cloud, "retrain", "--as-of", as_of.isoformat(), "--promote", promote, *SHORT_SEARCH), console)


def _served(output: str, console: Console) -> str | None:
    outcome: dict[str, Any] = json.loads(output.strip().rpartition("\n")[2])
    console.print(f"{outcome['outcome']} {outcome['version'] or ''}: {'; '.join(outcome['reasons'])}")
    return outcome["version"] if outcome["outcome"] == "PROMOTED" else None


def _live(
    cloud: LocalCloud, events: Path, where: Cut, publisher: StreamPublisher, queries: Queries, console: Console
) -> tuple[LoadPhases, str | None]:
    """Stream the live part: calm, then a burst, then during a retraining, then to the retrained model."""
    lines = list(itertools.islice(read(events), where.line, None))
    quiet, burst = _lines_with(lines, CALM * where.live), _lines_with(lines, (CALM + BURST) * where.live)
    watch = RowWatch(cloud.bigquery(), cloud.settings.dataset)
    with bar(console) as progress:
        publish = _publishing(publisher, progress, len(lines), watch)
        with watch:
            calm = _timed(lambda: publish(lines[:quiet], CALM * where.live / CALM_SECONDS))
        loud = _timed(lambda: publish(lines[quiet:burst], None))
        _drain(queries, publisher)
        as_of = (_time_of(lines, burst) or where.live_from).isoformat()
        with _running_job(cloud, "retrain", "--as-of", as_of, "--promote", "always", *SHORT_SEARCH) as job:
            _beside(job, lines[burst:], (1 - CALM - BURST) * where.live, publish)
            output, _ = job.communicate()
    if job.returncode:
        raise DemoFailed(f"jobs.retrain ended with {job.returncode}: {output.strip()[-500:]}")
    return LoadPhases(calm, loud, watch.waits), _served(output, console)


def _timed(work: Callable[[], None]) -> TimeRange:
    start = _now()
    work()
    return TimeRange(start, _now())


def _lines_with(lines: list[Line], transactions: float) -> int:
    """Return the number of lines up to and including this many transactions, at least one."""
    ends = [end for end, line in enumerate(lines, start=1) if line.topic == TRANSACTIONS]
    return ends[max(0, round(transactions) - 1)]


def _beside(job: subprocess.Popen[str], lines: list[Line], transactions: float, publish: Callable[..., None]) -> None:
    """Publish while a job runs; publish the rest after it, for the retrained model."""
    beside = (1 - RESERVE) * transactions
    rest = iter(lines)
    publish(
        itertools.islice(rest, _lines_with(lines, beside)), beside / RETRAIN_SECONDS, lambda: job.poll() is not None
    )
    job.wait()
    publish(rest, max(RESERVE * transactions, 1) / (2 * POINTER_TTL_SECONDS))


def _publishing(publisher: StreamPublisher, progress: Progress, total: int, watch: RowWatch) -> Callable[..., None]:
    task = progress.add_task("publish", total=total)

    def sent(line: Line) -> None:
        watch.published(line)
        progress.advance(task)

    def publish(lines: Iterable[Line], per_second: float | None, stop: Callable[[], bool] = lambda: False) -> None:
        publisher.publish(lines, per_second, stop, sent)

    return publish


def _time_of(lines: list[Line], index: int) -> dt.datetime | None:
    """Return the event time of the stream at a line: that of the last readable message up to it, if there is one."""
    return next((at for line in reversed(lines[: index + 1]) if (at := moment(line))), None)


def _drain(queries: Queries, publisher: StreamPublisher) -> None:
    """Wait until every published message has its row, or no new row arrives for DRAIN_SECONDS."""
    seen, changed = -1, time.monotonic()
    while time.monotonic() < changed + DRAIN_SECONDS:
        rows = queries.scored() + queries.labelled() + queries.quarantined()
        if rows >= publisher.sent.rows:
            return
        if rows != seen:
            seen, changed = rows, time.monotonic()
        time.sleep(0.5)


def _succeeded(result: DemoResult, second: str | None) -> bool:
    return (
        result.lost == 0
        and result.duplicated == 0
        and second is not None
        and result.seconds_to_first_score is not None
    )


def _verdict(result: DemoResult, first: str | None, second: str | None) -> str:
    if _succeeded(result, second):
        return "Nothing was lost, and the second model served."
    if result.lost or result.duplicated:
        return f"{result.lost} transactions were LOST, {result.duplicated} are in the view twice."
    return "Nothing was lost, but " + (
        "no second model served." if first else "there was nothing to train a model on."
    )


@contextmanager
def _status(console: Console) -> Iterator[Callable[[str], None]]:
    """Print each step on its own line."""
    yield lambda step: console.print(f"starting {step} ...", style="dim")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
