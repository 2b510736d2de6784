"""The steps of the demo, in order."""

from __future__ import annotations

import datetime as dt
import itertools
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from infra.local.aftermath.publisher import stored_decisions
from infra.local.cloud import LocalCloud
from infra.local.demo.models import CONTROL, Models
from infra.local.demo.queries import Queries, TimeRange
from infra.local.demo.report import DemoResult, LoadPhases, collect, render, succeeded, verdict
from infra.local.demo.stream import Cut, confirmed_frauds, moment, report_delay
from infra.local.demo.trace import traced
from infra.local.demo.traffic import StreamPublisher
from infra.local.demo.watch import RowWatch
from infra.local.home import mark
from infra.local.jobs import JobFailed
from jobs.cli.console import bar
from shared.contract.events_file import Line, read
from shared.contract.topics import TRANSACTIONS
from shared.settings import ASSUMED, MATURITY_DAYS, POINTER_TTL_SECONDS, PUBLISHED

CALM, BURST = 0.05, 0.5  # shares of the live part before the retraining: at a steady pace, then as fast as possible
CALM_SECONDS = 8.0
RETRAIN_SECONDS = 45.0  # typical retraining; the traffic beside it is paced to last longer
RESERVE = 0.25  # share of the last part that is kept for the swap: half beside the drill, half after it
SWAP_TTLS = 1.5  # each half lasts this many looks at the pointer
SPANS_OF_MATURITY = 1.5  # shorter histories have too few matured labels
DRAIN_SECONDS = 60.0  # without a new row
CENTURY = 36_525 * 86_400.0  # in seconds

Publish = Callable[..., None]
"""Publishes lines: at a pace in transactions a second (None: as fast as possible), until a condition holds."""


def demo(events: Path, where: Cut, home: Path, console: Console) -> bool:
    """Run every step in the folder `home`, which becomes a world; return whether it showed a swap without loss.

    Raises LocalCloudError, PixError.
    """
    started = time.monotonic()
    console.print(
        f"{where.history:,} transactions of history from {where.starts_at:%Y-%m-%d}, then {where.live:,} live ones"
    )
    if not where.outcomes:
        console.print("The file has no outcomes, so a Pix that is approved is assumed to have settled.")
    days = mark(home, _maturity(events, where, console)).maturity_days
    with LocalCloud(
        home,
        pubsub="embedded",  # Google's emulator pushes several times slower
        on_step=lambda step: console.print(f"starting {step} ...", style="dim"),
        persistent=True,
        maturity_days=days,
        outcomes=PUBLISHED if where.outcomes else ASSUMED,
        deadline_seconds=CENTURY,  # the events happened before they are streamed
    ) as cloud:
        models = Models(cloud, console)
        result = _streamed(cloud, events, where, models, console)
        models.copy_card()
    console.print(render(result))
    console.print(f"Done in {time.monotonic() - started:.0f} s. {verdict(result)}")
    return succeeded(result)


def _streamed(cloud: LocalCloud, events: Path, where: Cut, models: Models, console: Console) -> DemoResult:
    """Load the history, train on it, stream the live part, and return the figures."""
    cloud.run_job("replay", str(events), "--lines", str(where.line), "--state", cloud.settings.state)
    _compare(cloud, console, "--all")  # else the gate's verdict on the second model would wait for a person
    with models.training(where.live_from):
        pass
    cloud.run_job("control", "on", *CONTROL)
    cloud.start_functions()
    decisions = stored_decisions(cloud.bigquery(), cloud.settings.dataset)
    queries = Queries(cloud.bigquery(), cloud.settings.dataset, cloud.settings.maturity_days, _now())
    lines = list(itertools.islice(read(events), where.line, None))
    frauds = confirmed_frauds(lines)
    with StreamPublisher(cloud.settings.project, decisions, frauds.get) as publisher:
        load = _live(cloud, lines, where, publisher, queries, models, console)
        with console.status("waiting for the last rows ..."):
            _drain(queries, publisher)
    looked = models.compare()
    models.end_drill()
    _compare(cloud, console, "--from", where.live_from.isoformat())  # for later trainings in this world
    end = where.ends_at + dt.timedelta(days=cloud.settings.maturity_days)
    with console.status("querying BigQuery ..."):
        chain = traced(cloud, queries.root())
        return collect(queries, publisher.sent, frauds, load, end, models.swap, chain, looked)


def _compare(cloud: LocalCloud, console: Console, *which: str) -> None:
    """Record whether the served features are those of a replay; if they are not, a training asks a person."""
    try:
        cloud.run_job("skew", *which, "--record")
    except JobFailed as error:
        console.print(f"the served features are not those of a replay, or were not compared: {error}", markup=False)


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


def _live(
    cloud: LocalCloud,
    lines: list[Line],
    where: Cut,
    publisher: StreamPublisher,
    queries: Queries,
    models: Models,
    console: Console,
) -> LoadPhases:
    """Stream the live part: calm, then a burst, then during a retraining, then during and after a swap."""
    quiet, burst = _lines_with(lines, CALM * where.live), _lines_with(lines, (CALM + BURST) * where.live)
    watch = RowWatch(cloud.bigquery(), cloud.settings.dataset)
    with bar(console) as progress:
        publish = _publishing(publisher, progress, len(lines), watch)
        with watch:
            calm = _timed(lambda: publish(lines[:quiet], CALM * where.live / CALM_SECONDS))
        loud = _timed(lambda: publish(lines[quiet:burst], None))
        _drain(queries, publisher)
        _last(
            lines[burst:], (1 - CALM - BURST) * where.live, _time_of(lines, burst) or where.live_from, models, publish
        )
    return LoadPhases(calm, loud, watch.waits)


def _timed(work: Callable[[], None]) -> TimeRange:
    start = _now()
    work()
    return TimeRange(start, _now())


def _lines_with(lines: list[Line], transactions: float) -> int:
    """Return the number of lines up to and including this many transactions, at least one."""
    ends = [end for end, line in enumerate(lines, start=1) if line.topic == TRANSACTIONS]
    return ends[max(0, round(transactions) - 1)]


def _last(lines: list[Line], transactions: float, as_of: dt.datetime, models: Models, publish: Publish) -> None:
    """Publish the last part: beside a retraining, beside the drill if there is one, then to the swapped-in model."""
    rest, reserve = iter(lines), RESERVE / 2 * transactions
    pace = max(reserve, 1) / (SWAP_TTLS * POINTER_TTL_SECONDS)
    before = _lines_with(lines, (1 - RESERVE) * transactions)
    with models.training(as_of) as job:
        _beside(job, itertools.islice(rest, before), (1 - RESERVE) * transactions / RETRAIN_SECONDS, publish)
    with models.drill() as drill:
        if drill:
            _beside(drill, itertools.islice(rest, _lines_with(lines, reserve)), pace, publish)
    models.try_the_other()
    publish(rest, pace)


def _beside(job: subprocess.Popen[str], lines: Iterable[Line], per_second: float, publish: Publish) -> None:
    """Publish while a job runs."""
    publish(lines, per_second, lambda: job.poll() is not None)


def _publishing(publisher: StreamPublisher, progress: Progress, total: int, watch: RowWatch) -> Publish:
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
    """Wait until every message is published and has its row, or no new row arrives for DRAIN_SECONDS."""
    seen, changed = -1, time.monotonic()
    while time.monotonic() < changed + DRAIN_SECONDS:
        waiting = publisher.waiting()  # first: an outcome that is published meanwhile has its row later
        rows = queries.scored() + queries.told() + queries.labelled() + queries.quarantined()
        if not waiting and rows >= publisher.sent.rows:
            return
        if rows != seen:
            seen, changed = rows, time.monotonic()
        time.sleep(0.5)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
