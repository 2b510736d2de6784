"""Replay transactions and reports in the order in which history counted them: features, rows and state.

Bootstraps a new deployment from events, rebuilds the state of history after its loss, or recomputes features, for
instance a new one for old rows. Rows without a decision are decided by rules alone.

Scoring does not use an empty store: it continues without history until the store is filled, from a file of events by
this job, or from the tables by jobs.repair.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from jobs.cli import arguments, console, history_wiring, interruption, partitions, wiring
from jobs.cli.events import is_rereadable, prepared
from shared.errors import Misconfigured
from shared.settings import Settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from shared.contract.reading import Clock
    from shared.ports.history import HistoryStore
    from shared.replay.checkpoints import Checkpoints
    from shared.replay.partitioned.run import PartitionedRun
    from shared.replay.run import ReplayRun, Sinks
    from shared.replay.sources import ReplaySource

TABLES = "tables"
ROWS = ("score_events", "feedback", "outcomes")
"""The tables that a replay writes rows of."""

_EXAMPLES = """sources:
  events.ndjson[.gz]  lines of the public contract, {"topic": ..., "data": {...}}; a pipe is copied first, and
                      a file that is not in time order is sorted
  rows.parquet, DIR   rows like those of pix.score_events, ordered by history_sequence or else by initiated_at;
                      DIR may also hold feedback-*.parquet and outcomes-*.parquet, as --out writes them
  tables              pix.score_events, pix.outcomes and pix.feedback

messages of a file of events:
  They are read and refused as live ones are. A message that the file repeats counts once. The result counts those
  without a row: malformed; duplicates; taken, another message under an EndToEndId of the same side; ahead, dated more
  than PIX_AHEAD_SECONDS after the clock of this job, as a line of 2099 would outdate every count of its accounts;
  other_sides, a Pix that the other side had asked about. A simulated future needs --until, the end of its time.

settlements:
  rows with history_sequence settle by the outcomes and by decided_sequence; where there are neither, an approved
  Pix settles at once. Rows without it, and the Pix of a file of events without outcomes, all settle at once.
  The outcomes of DIR, and the rows of their Pix, are held in memory; those of the tables are not.

examples:
  python -m jobs.replay events.ndjson.gz --state redis://10.0.0.3:6379   bootstrap: tables and the store of history
  python -m jobs.replay tables --out features/                           features as the code computes them now
  python -m jobs.replay rows/ --out features/ --engine spark             the same, for more rows than a process takes
  python -m jobs.replay events.ndjson.gz --out rows/ --engine processes  rows of a file of events, by all CPUs

Exit codes: 0 done, 1 failed, 2 wrong options.
"""


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    _check(parser, options)
    wiring.prepare(os.environ)
    return console.run(lambda: _replay(options))


def _replay(options: argparse.Namespace) -> tuple[int, object]:
    settings = Settings.from_env(os.environ)
    try:
        return console.OK, _replayed(options, settings)
    except OSError as error:  # a folder or file of the options
        raise Misconfigured(str(error)) from error


def _replayed(options: argparse.Namespace, settings: Settings) -> dict[str, object]:
    started = time.perf_counter()
    with contextlib.ExitStack() as after:
        store = after.enter_context(_empty_store(options, settings)) if options.state else None
        return _replayed_into(store, options, settings, started)


def _replayed_into(
    store: HistoryStore | None, options: argparse.Namespace, settings: Settings, started: float
) -> dict[str, object]:
    import msgspec

    from shared.replay.checkpoints import Checkpoints
    from shared.replay.run import ReplayRun

    checkpoints = Checkpoints(options.checkpoint, _identity(options)) if options.checkpoint else None
    run = checkpoints.run if checkpoints else uuid.uuid4().hex
    with (
        console.bar() as progress,
        _source(options, settings, run, checkpoints, progress) as source,
        _run_of(options, settings, run, checkpoints, progress, source) as replay,
    ):
        loaded = _fill(store, replay, source, progress) if store else None
        if options.state_out:
            replay.state().dump(options.state_out)
        if checkpoints:
            checkpoints.clear()
        return {
            "outcome": "DONE",
            "transactions": replay.transactions,
            "reports": source.reports,
            **msgspec.structs.asdict(source.left_out),
            "records_loaded": loaded,
            **({} if isinstance(replay, ReplayRun) else partitions.counts_of(replay)),
            "seconds": round(time.perf_counter() - started, 1),
        }


@contextmanager
def _run_of(
    options: argparse.Namespace,
    settings: Settings,
    run: str,
    checkpoints: Checkpoints | None,
    progress: Progress,
    source: ReplaySource,
) -> Iterator[ReplayRun | PartitionedRun]:
    """Replay a source into rows, and give the finished run."""
    from shared.replay.run import ReplayRun
    from shared.replay.scored_rows import ScoredRows
    from shared.scoring.rules import Rules

    task = progress.add_task("replay", total=source.total)

    def advance(done: int) -> None:
        progress.update(task, completed=done)

    rules = Rules.load()
    if options.engine != partitions.SINGLE:
        scored = ScoredRows(rules, settings.hmac_key_version)
        with partitions.replayed(options, source, scored, advance) as spread:
            yield spread
        return
    sinks = _sinks(options, settings, run)
    replay = ReplayRun(source, sinks, rules, settings.hmac_key_version)
    replay.run(advance, checkpoints, options.resume, options.every)
    for parts in progress.track(sinks.parts(), description="finish the tables"):
        parts.finish()
    yield replay


@contextmanager
def _empty_store(options: argparse.Namespace, settings: Settings) -> Iterator[HistoryStore]:
    """Return the store to fill, reserved before the work: no repair opens it meanwhile."""
    from shared.replay.holding import held

    with closing(history_wiring.history_store(settings, options.state)) as store, held(store):
        yield store


def _fill(store: HistoryStore, replay: ReplayRun | PartitionedRun, source: ReplaySource, progress: Progress) -> int:
    """Load the state at the end of a replay into a store, and return the number of records."""
    state, verdicts = replay.state(), source.verdicts.encoded()
    records = sum(len(table.keys) for table in state.tables) + len(verdicts)
    task = progress.add_task("load into the store of history", total=records)
    store.load(state, verdicts, lambda count: progress.advance(task, count))
    return records


@contextmanager
def _source(
    options: argparse.Namespace, settings: Settings, run: str, checkpoints: Checkpoints | None, progress: Progress
) -> Iterator[ReplaySource]:
    """Open the source; remove its staged files once it has been replayed."""
    from shared.contract.pseudonyms import Pseudonymiser
    from shared.replay.event_lines import EventLines
    from shared.replay.parquet import Files
    from shared.replay.sharded import TablesOfShards

    if options.source != TABLES:
        path = Path(options.source)
        if _is_parquet(options.source):
            yield Files(path, options.feedback).source()
        elif not settings.hmac_key:
            raise Misconfigured("set PIX_HMAC_KEY: the events name persons, who get pseudonyms under that key")
        else:
            with TemporaryDirectory(prefix="replay-") as folder:
                events, order = prepared(path, Path(folder), progress)
                count = order.lines if options.lines is None else min(options.lines, order.lines)
                yield EventLines(events, count, Pseudonymiser(settings.hmac_key.encode()), _clock(options, settings))
        return
    tables = TablesOfShards(history_wiring.stored_tables(settings), run, counted_only=bool(options.state_out))
    with TemporaryDirectory(prefix="replay-") as folder, contextlib.ExitStack() as after:
        if checkpoints is None:
            after.callback(tables.clear)
        if checkpoints is None or not checkpoints.exists():
            task = progress.add_task("export from BigQuery", total=1)
            tables.stage()
            progress.advance(task)
        yield tables.source(Path(folder))
        tables.clear()


def _clock(options: argparse.Namespace, settings: Settings) -> Clock:
    """Return the clock by which the times of lines are judged."""
    from shared.contract.event import micros
    from shared.contract.reading import Clock

    return Clock(micros(options.until), 0.0) if options.until else Clock(micros(wiring.now()), settings.ahead_seconds)


def _sinks(options: argparse.Namespace, settings: Settings, run: str) -> Sinks:
    from shared.replay.run import Sinks
    from shared.replay.sinks import Folder, ParquetParts

    if options.out:
        return Sinks(*(ParquetParts(Folder(options.out, name)) for name in ROWS))
    if options.state_only:
        return Sinks(None, None, None)
    return Sinks(*(ParquetParts(wiring.bulk_load(settings, name, run)) for name in ROWS))


def _identity(options: argparse.Namespace) -> list[str]:
    """Return the options that identify a replay, so that no other one resumes from its checkpoint."""
    return [
        str(each)
        for each in (options.source, options.feedback, options.lines, options.until, options.out, options.state_only)
    ]


def _is_parquet(source: str) -> bool:
    path = Path(source)
    return source != TABLES and (path.is_dir() or path.suffix == ".parquet")


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    parquet = _is_parquet(options.source)
    if options.source == TABLES and options.state:
        parser.error("jobs.repair fills a store from the tables")
    if options.source == TABLES and not options.out:
        options.state_only = True
        if not options.state_out:
            parser.error("name an output for the tables: --out or --state-out")
    if options.feedback and not parquet:
        parser.error("--feedback belongs to Parquet")
    if options.lines is not None and (parquet or options.source == TABLES):
        parser.error("--lines belongs to a file of events")
    if options.until and (parquet or options.source == TABLES):
        parser.error("--until belongs to a file of events")
    if options.resume and not options.checkpoint:
        parser.error("--resume needs --checkpoint")
    if options.checkpoint and options.source != TABLES and not is_rereadable(Path(options.source)):
        parser.error("--checkpoint needs a source that can be read again, not a pipe")
    partitions.check(parser, options)


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("replay", __doc__, _EXAMPLES)
    add = parser.add_argument
    add("source", help="a file of events, Parquet, or the word `tables`; see below")
    add(
        "--lines",
        type=arguments.count,
        metavar="N",
        help="only the first N lines of a file of events, in time order (default: all)",
    )
    add(
        "--until",
        type=arguments.moment,
        metavar="TIME",
        help="leave out lines of a file of events with a later time (RFC 3339; default: PIX_AHEAD_SECONDS from now)",
    )
    add("--feedback", type=Path, metavar="PATH", help="Parquet of reports (default: feedback-*.parquet in DIR)")
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument("--out", type=Path, metavar="DIR", help="write rows as Parquet instead of loading them")
    rows.add_argument("--state-only", action="store_true", help="write no rows")
    add("--state-out", type=Path, metavar="FILE", help="write the state of history to a file")
    add("--state", metavar="URL", help="load it into an empty Valkey or Redis: redis://host:port")
    add("--checkpoint", type=Path, metavar="DIR", help="keep a checkpoint there, to resume from")
    add("--resume", action="store_true", help="continue from the checkpoint, if there is one")
    add(
        "--every",
        type=arguments.positive,
        default=50,
        metavar="N",
        help="chunks of 4,096 between checkpoints (default: %(default)s)",
    )
    partitions.add_engine(parser)
    return parser


if __name__ == "__main__":
    interruption.leave(main())
