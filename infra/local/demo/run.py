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
from infra.local.demo.report import Questions, Result, Traffic, Window, collect, render
from infra.local.demo.stream import Cut, moment, report_delay
from infra.local.demo.traffic import Publisher
from infra.local.demo.watch import RowWatch
from jobs.cli.console import bar
from shared.contract.events_file import Line, read
from shared.contract.topics import TRANSACTIONS
from shared.settings import MATURITY_DAYS, POINTER_TTL_SECONDS

CALM, BURST = 0.05, 0.5  # shares of the live part before the retraining: at a steady pace, then as fast as possible
CALM_SECONDS = 8.0
RETRAIN_SECONDS = 45.0  # about as long as a retraining takes; the traffic beside it is paced to last longer
RESERVE = 0.25  # share of the last part that is kept for the model that comes out of it
SPANS_OF_MATURITY = 1.5  # shorter histories leave too little that has matured
DRAIN_SECONDS = 60.0  # without a new row
SHORT_SEARCH = ("--trials", "6")  # a trial for each family and one more; people are watching
JOB_NICENESS = 10  # a job in the cloud has CPUs of its own; here it gets what the functions leave


class DemoFailed(Exception):
    """A step of the demo did not work; the text says which and why."""


def demo(events: Path, where: Cut, home: Path, console: Console) -> int:
    """Run every step and return the exit status. Raises DemoFailed, LocalCloudError, PixError."""
    started = time.monotonic()
    console.print(
        f"{where.history:,} transactions of history from {where.starts_at:%Y-%m-%d}, then {where.live:,} live ones"
    )
    with (
        _status(console) as tell,
        LocalCloud(
            home / "cloud",
            pubsub="embedded",  # Google's emulator pushes several times slower
            on_step=tell,
            maturity_days=_maturity(events, where, console),
            deadline_seconds=float("inf"),  # the events happened before they are streamed
        ) as cloud,
    ):
        _job(cloud, "replay", str(events), "--lines", str(where.line), "--state", cloud.settings.state)
        first = _retrain(cloud, console, where.live_from, promote="always")
        tell("functions")
        cloud.start_functions()
        since = _now()
        publisher = Publisher(cloud.settings.project)
        questions = Questions(cloud.bigquery(), cloud.settings.dataset, cloud.settings.maturity_days, since)
        traffic, second = _live(cloud, events, where, publisher, questions, console)
        publisher.close()
        with console.status("waiting for the last rows ..."):
            _drain(questions, publisher)
        end = where.ends_at + dt.timedelta(days=cloud.settings.maturity_days)
        with console.status("asking BigQuery ..."):
            result = collect(questions, publisher.sent, traffic, end, second)
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
    """Return the maturity window in days: the usual one, or what a history that is too short for it shows."""
    span = where.history_span / dt.timedelta(days=1)
    if span >= SPANS_OF_MATURITY * MATURITY_DAYS:
        return MATURITY_DAYS
    delay = report_delay(events, where)
    days = min(MATURITY_DAYS, span / 3 if delay is None else delay / dt.timedelta(days=1))
    console.print(
        f"The history lasts {span:.1f} days, so a Pix that nobody reports counts as legitimate after {days:.1f} days "
        f"here instead of {MATURITY_DAYS:g}."
    )
    return days


def _job(cloud: LocalCloud, name: str, *arguments: str) -> str:
    """Run a job as it runs in production, in its own process; return what it printed. Raises DemoFailed."""
    process = _start_job(cloud, name, *arguments)
    output, _ = process.communicate()
    if process.returncode:
        raise DemoFailed(f"jobs.{name} ended with {process.returncode}: {output.strip()[-500:]}")
    return output


def _start_job(cloud: LocalCloud, name: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 (our own job)
        [sys.executable, "-m", f"jobs.{name}", *arguments],
        env={**os.environ, **cloud.environment},
        preexec_fn=lambda: os.nice(JOB_NICENESS),
        stdout=subprocess.PIPE,
        text=True,
    )


def _retrain(cloud: LocalCloud, console: Console, as_of: dt.datetime, promote: str) -> str | None:
    """Train and return the version that serves then, None if there was nothing to train on."""
    console.print(f"training on what was known at {as_of:%Y-%m-%d %H:%M}")
    return _served(_job(cloud, "retrain", "--as-of", as_of.isoformat(), "--promote", promote, *SHORT_SEARCH), console)


def _served(output: str, console: Console) -> str | None:
    outcome: dict[str, Any] = json.loads(output.strip().rpartition("\n")[2])
    console.print(f"{outcome['outcome']} {outcome['version'] or ''}: {'; '.join(outcome['reasons'])}")
    return outcome["version"] if outcome["outcome"] == "PROMOTED" else None


def _live(
    cloud: LocalCloud, events: Path, where: Cut, publisher: Publisher, questions: Questions, console: Console
) -> tuple[Traffic, str | None]:
    """Stream the live part: calm, then a burst, then beside a retraining, then to the version that came out of it."""
    lines = list(itertools.islice(read(events), where.line, None))
    quiet, burst = _place(lines, CALM * where.live), _place(lines, (CALM + BURST) * where.live)
    watch = RowWatch(cloud.bigquery(), cloud.settings.dataset)
    with bar(console) as progress:
        publish = _publishing(publisher, progress, len(lines), watch)
        with watch:
            calm = _timed(lambda: publish(lines[:quiet], CALM * where.live / CALM_SECONDS))
        loud = _timed(lambda: publish(lines[quiet:burst], None))
        _drain(questions, publisher)
        job = _start_job(
            cloud, "retrain", "--as-of", _time_of(lines, burst).isoformat(), "--promote", "always", *SHORT_SEARCH
        )
        _beside(job, lines[burst:], (1 - CALM - BURST) * where.live, publish)
    output, _ = job.communicate()
    if job.returncode:
        raise DemoFailed(f"jobs.retrain ended with {job.returncode}: {output.strip()[-500:]}")
    return Traffic(calm, loud, watch.waits), _served(output, console)


def _timed(work: Callable[[], None]) -> Window:
    start = _now()
    work()
    return Window(start, _now())


def _place(lines: list[Line], transactions: float) -> int:
    """Return the place after so many transactions."""
    places = [place for place, line in enumerate(lines, start=1) if line.topic == TRANSACTIONS]
    return places[max(0, round(transactions) - 1)]


def _beside(job: subprocess.Popen[str], lines: list[Line], transactions: float, publish: Callable[..., None]) -> None:
    """Publish while a job runs; what is left then goes after it, to the model that came out of it."""
    beside = (1 - RESERVE) * transactions
    rest = iter(lines)
    publish(itertools.islice(rest, _place(lines, beside)), beside / RETRAIN_SECONDS, lambda: job.poll() is not None)
    job.wait()
    publish(rest, max(RESERVE * transactions, 1) / (2 * POINTER_TTL_SECONDS))


def _publishing(publisher: Publisher, progress: Progress, total: int, watch: RowWatch) -> Callable[..., None]:
    task = progress.add_task("publish", total=total)

    def sent(line: Line) -> None:
        watch.published(line)
        progress.advance(task)

    def publish(lines: Iterable[Line], per_second: float | None, stop: Callable[[], bool] = lambda: False) -> None:
        publisher.publish(lines, per_second, stop, sent)

    return publish


def _time_of(lines: list[Line], place: int) -> dt.datetime:
    """Return the event time that the stream had reached at a line."""
    return next(at for line in reversed(lines[: place + 1]) if (at := moment(line)))


def _drain(questions: Questions, publisher: Publisher) -> None:
    """Wait until every message that was published has its row, or none came for a while."""
    seen, changed = -1, time.monotonic()
    while time.monotonic() < changed + DRAIN_SECONDS:
        rows = questions.scored() + questions.labelled() + questions.quarantined()
        if rows >= publisher.sent.rows:
            return
        if rows != seen:
            seen, changed = rows, time.monotonic()
        time.sleep(0.5)


def _succeeded(result: Result, second: str | None) -> bool:
    return (
        result.lost == 0
        and result.duplicated == 0
        and second is not None
        and result.seconds_to_first_score is not None
    )


def _verdict(result: Result, first: str | None, second: str | None) -> str:
    if _succeeded(result, second):
        return "Nothing was lost, and the second model served."
    if result.lost or result.duplicated:
        return f"{result.lost} transactions were LOST, {result.duplicated} stand twice in the view."
    return "Nothing was lost, but " + (
        "no second model served." if first else "there was nothing to train a model on."
    )


@contextmanager
def _status(console: Console) -> Iterator[Callable[[str], None]]:
    """Tell each step on a line of its own."""
    yield lambda step: console.print(f"starting {step} ...", style="dim")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
