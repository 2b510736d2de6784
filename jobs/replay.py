"""Replay what happened, in the order in which history counted it: features as history knew them, and its state.

Bootstraps a new deployment from events, rebuilds the state of history after its loss, or computes features again,
for instance a new one for old rows. Rows that were never decided are decided by rules alone.

A store that is empty is not used: scoring goes on without history until the store is filled, also a new one: tables
without a row open it. Fill it a minute after it was lost, when the last rows from before are stored, while traffic
goes on. A state made from the tables is what history had counted, so without what was scored while it was away.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from shared.errors import Misconfigured, PixError
from shared.features.state import State
from shared.features.verdicts import AppliedVerdict
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.replay.run import Checkpoints, Sinks
    from shared.replay.sources import ReplaySource

DONE, FAILED = 0, 1
TABLES = "tables"

_EXAMPLES = """sources:
  events.ndjson[.gz]  lines of the public contract, {"topic": ..., "data": {...}}, in time order
  rows.parquet, DIR   rows like those of pix.score_events, in order of history_sequence or else of initiated_at
  tables              pix.score_events and pix.feedback themselves

examples:
  python -m jobs.replay events.ndjson.gz --state redis://10.0.0.3:6379   bootstrap: tables and the store of history
  python -m jobs.replay tables --state redis://10.0.0.3:6379             fill an empty store: one that was lost,
                                                                         or a new one, which is to count from now on
  python -m jobs.replay tables --out features/                           features as the code computes them now

The project, bucket and dataset come from the environment; see shared/settings.py.
Exit codes: 0 done, 1 failed, 2 wrong options.
"""


class StateLoad(Protocol):
    """A store of history that is to be filled."""

    def settle(self, end_to_end_ids: Sequence[str], claim_seconds: int) -> None:
        """Say that these transactions have their rows, for so many seconds. Raises PixError."""
        ...

    def load(
        self, state: State, said: Mapping[str, Sequence[AppliedVerdict]], advance: Callable[[int], None]
    ) -> None:
        """Store all of it; `advance` is told how many records were stored. Raises PixError."""
        ...


def hand_over(
    state: State, heard: Mapping[str, Sequence[AppliedVerdict]], store: StateLoad, progress: Progress
) -> None:
    """Fill a store with the state that history ends in. Raises PixError."""
    rows = sum(len(table.keys) for table in state.tables) + len(heard)
    task = progress.add_task("load into the store of history", total=rows)
    started = time.perf_counter()
    store.load(state, heard, lambda count: progress.advance(task, count))
    progress.console.print(f"{rows:,} records loaded, {rows / (time.perf_counter() - started):,.0f} a second")


def bar(console: Console) -> Progress:
    """Return the progress bar of a job."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit status."""
    from jobs.cli import wiring

    parser = _parser()
    options = parser.parse_args(argv)
    _check(parser, options)
    wiring.prepare(os.environ)
    console = Console(stderr=True)
    try:
        _replay(options, Settings.from_env(os.environ), console)
    except (PixError, OSError) as error:  # OSError: a folder or file of the options
        console.print(f"replay: {error}", style="red", highlight=False)
        return FAILED
    return DONE


def _replay(options: argparse.Namespace, settings: Settings, console: Console) -> None:
    from jobs.cli import wiring
    from shared.replay.run import Checkpoints, Replaying
    from shared.scoring.rules import Rules

    store = wiring.state_load(settings, options.state) if options.state else None
    if store:
        store.check()  # before the work, not after it
        if options.source == TABLES:
            _settle(store, settings)
    checkpoints = Checkpoints(options.checkpoint, _identity(options)) if options.checkpoint else None
    run = checkpoints.run if checkpoints else uuid.uuid4().hex
    with bar(console) as progress, _source(options, settings, run, checkpoints, progress) as source:
        sinks = _sinks(options, settings, run)
        job = Replaying(source, sinks, Rules.load(), settings.hmac_key_version)
        task = progress.add_task("replay", total=source.total)
        started = time.perf_counter()
        job.run(lambda done: progress.update(task, completed=done), checkpoints, options.resume, options.every)
        seconds = time.perf_counter() - started
        finishing = progress.add_task("finish the tables", total=len(sinks.parts()))
        for parts in sinks.parts():
            parts.finish()
            progress.advance(finishing)
        if store:
            hand_over(job.state(), source.said.heard, store, progress)
    if options.state_out:
        job.state().dump(options.state_out)
    if checkpoints:
        checkpoints.clear()
    console.print(
        f"{job.transactions:,} transactions and {source.reports:,} reports replayed in {seconds:.1f} s, "
        f"{source.malformed:,} malformed left out",
        highlight=False,
    )


def _settle(store: StateLoad, settings: Settings) -> None:
    """Let nothing be decided again that was decided before the store was lost and may be delivered again."""
    from jobs.cli import wiring

    since = wiring.now() - dt.timedelta(seconds=settings.state_claim_seconds)
    store.settle(wiring.dataset(settings).scored_since(since), settings.state_claim_seconds)


@contextmanager
def _source(
    options: argparse.Namespace, settings: Settings, run: str, checkpoints: Checkpoints | None, progress: Progress
) -> Iterator[ReplaySource]:
    """Give the source, and remove what it needed in the bucket once it has been replayed."""
    from jobs.cli import wiring
    from shared.contract.pseudonyms import Pseudonymiser
    from shared.replay.parquet import Files
    from shared.replay.sources import EventLines

    if options.source != TABLES:
        path = Path(options.source)
        if path.is_dir() or path.suffix == ".parquet":
            yield Files(path, options.feedback).source()
        else:
            if not settings.hmac_key:
                raise Misconfigured("set PIX_HMAC_KEY: the events name persons, who get pseudonyms under that key")
            yield EventLines(path, options.lines, Pseudonymiser(settings.hmac_key.encode()))
        return
    data = wiring.dataset(settings)
    counted_only = bool(options.state or options.state_out)
    with TemporaryDirectory(prefix="replay-") as folder, contextlib.ExitStack() as after:
        if checkpoints is None:
            after.callback(data.clear, run)
        if checkpoints is None or not checkpoints.there():
            task = progress.add_task("export from BigQuery", total=1)
            data.stage(run, counted_only)
            progress.advance(task)
        yield data.source(run, Path(folder), counted_only)
        data.clear(run)


def _sinks(options: argparse.Namespace, settings: Settings, run: str) -> Sinks:
    from jobs.cli import wiring
    from shared.replay.run import Sinks
    from shared.replay.sinks import Folder, ParquetParts

    if options.out:
        return Sinks(ParquetParts(Folder(options.out, "score_events")), ParquetParts(Folder(options.out, "feedback")))
    if options.state_only:
        return Sinks(None, None)
    scores, feedback = (ParquetParts(wiring.bulk_load(settings, name, run)) for name in ("score_events", "feedback"))
    return Sinks(scores, feedback)


def _identity(options: argparse.Namespace) -> list[str]:
    """Return what a replay was asked for, so that a checkpoint is used for nothing else."""
    asked = (options.source, options.feedback, options.lines, options.out, options.state_only)
    return [str(each) for each in asked]


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.source == TABLES and not options.out:
        options.state_only = True
        if not (options.state or options.state_out):
            parser.error("say what to make of the tables: --out, --state-out or --state")
    path = Path(options.source)
    parquet = options.source != TABLES and (path.is_dir() or path.suffix == ".parquet")
    if options.feedback and not parquet:
        parser.error("--feedback belongs to Parquet")
    if options.lines is not None and (parquet or options.source == TABLES):
        parser.error("--lines belongs to a file of events")
    if options.resume and not options.checkpoint:
        parser.error("--resume needs --checkpoint")
    if options.every < 1:
        parser.error("--every is at least 1")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.replay",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("source", help="a file of events, Parquet, or the word `tables`; see below")
    add("--lines", type=int, metavar="N", help="only the first N lines of a file of events (default: all)")
    add("--feedback", type=Path, metavar="PATH", help="Parquet of reports (default: feedback-*.parquet in DIR)")
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument("--out", type=Path, metavar="DIR", help="write rows as Parquet instead of loading them")
    rows.add_argument("--state-only", action="store_true", help="write no rows")
    add("--state-out", type=Path, metavar="FILE", help="write the state of history to a file")
    add("--state", metavar="URL", help="load it into an empty Valkey or Redis: redis://host:port")
    add("--checkpoint", type=Path, metavar="DIR", help="note there now and then how far the replay is")
    add("--resume", action="store_true", help="go on from the checkpoint, if there is one")
    add("--every", type=int, default=50, metavar="N", help="chunks of 4,096 between checkpoints (default: 50)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
