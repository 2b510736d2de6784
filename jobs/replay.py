"""Replay events in event time: features as history knew them, into BigQuery, and the state that history ends in.

Bootstraps a new deployment from what happened before it. Rows are decided by rules alone, as no model served then.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared.contract.event import Event, micros
from shared.contract.events_file import FEEDBACK, TRANSACTIONS, EventFileError, Line, read
from shared.contract.feedback import Feedback, decode_feedback
from shared.contract.rows import FeedbackRow, Record, ScoreRow
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed, PixError
from shared.features.columns import Columns
from shared.features.history import MemoryHistory, Report
from shared.features.state import State
from shared.features.vector import feature_matrix
from shared.features.verdicts import Heard, Said, SaidLog
from shared.privacy import Pseudonymiser
from shared.scoring.policy import decide
from shared.scoring.rules import Rules
from shared.serving.label_service import feedback_row
from shared.settings import Settings

CHUNK = 10_000  # lines that are decoded before history sees them
BATCH = 256  # as large as the batches of the score function


class Load(Protocol):
    """Rows on their way into one table."""

    def add(self, rows: list[Record]) -> None:
        """Take rows."""
        ...

    def load(self) -> int:
        """Load what was taken and return the number of rows."""
        ...


class StateLoad(Protocol):
    """A store of history that is to be filled."""

    def load(self, state: State, said: Mapping[str, Sequence[Heard]], advance: Callable[[int], None]) -> None:
        """Store all of it; `advance` is told how many records were stored. Raises PixError."""
        ...


class Replayed(NamedTuple):
    """What a replay has seen."""

    transactions: int
    feedback: int
    malformed: int


class Replay:
    """Events in, rows out, history kept; memory is bounded by the number of keys and of reported transactions."""

    def __init__(self, history: MemoryHistory, pseudonymiser: Pseudonymiser, rules: Rules, key_version: int) -> None:
        self.history = history
        self._pseudonymiser = pseudonymiser
        self._rules = rules
        self._key_version = key_version
        self._reported: dict[str, Event | None] = {}
        self.said = SaidLog()
        self.seen = Replayed(0, 0, 0)

    def expect(self, lines: Iterable[Line]) -> None:
        """Note which transactions will be reported, so that only those have to be remembered."""
        for line in lines:
            if line.topic == FEEDBACK and (report := _decoded(line)) is not None:
                self._reported[report.end_to_end_id] = None

    def rows(self, lines: Iterable[Line]) -> tuple[list[ScoreRow], list[FeedbackRow]]:
        """Return the rows of a chunk of lines."""
        scores: list[ScoreRow] = []
        feedback: list[FeedbackRow] = []
        for topic, group in itertools.groupby(lines, key=lambda line: line.topic):
            for batch in batches(group, BATCH):
                if topic == TRANSACTIONS:
                    scores += self._score([e for line in batch if (e := self._event(line)) is not None])
                else:
                    feedback += [row for line in batch if (row := self._report(line)) is not None]
        return scores, feedback

    def _event(self, line: Line) -> Event | None:
        try:
            event = self._pseudonymiser.event(decode_transaction(bytes(line.data)).value)
        except Malformed:
            self.seen = self.seen._replace(malformed=self.seen.malformed + 1)
            return None
        if event.end_to_end_id in self._reported:
            self._reported[event.end_to_end_id] = event
        return event

    def _score(self, events: list[Event]) -> list[ScoreRow]:
        if not events:
            return []
        self.seen = self.seen._replace(transactions=self.seen.transactions + len(events))
        columns = Columns.of(events)
        reads, sequence = self.history.observe(columns)
        features = feature_matrix(columns, reads)
        outcome = decide(features, self._rules, bundle=None)
        return [
            ScoreRow(
                event=event,
                scored_at=event.initiated_at,
                score=None,
                decision=outcome.decisions[i],
                reasons=outcome.reasons[i],
                model_version=None,
                late=False,
                degraded=True,
                hmac_key_version=self._key_version,
                history_sequence=int(sequence[i]),
                published_at=None,
                features=features[i],
            )
            for i, event in enumerate(events)
        ]

    def _report(self, line: Line) -> FeedbackRow | None:
        report = _decoded(line)
        if report is None:
            self.seen = self.seen._replace(malformed=self.seen.malformed + 1)
            return None
        self.seen = self.seen._replace(feedback=self.seen.feedback + 1)
        return feedback_row(report, micros(report.reported_at), self._tell_history(report))

    def _tell_history(self, report: Feedback) -> int | None:
        """Count a report, and return after how many transactions that was, None if it changes nothing."""
        event = self._reported.get(report.end_to_end_id)
        if event is None:
            return None
        now = Said(report.verdict, micros(report.reported_at))
        told = self.said.hear(report.end_to_end_id, now, self.history.sequence)
        self.history.report(
            [
                Report(event.payer_id, event.payee_id, event.device_id, change.reported_at, change.fraud, change.sign)
                for change in told
            ]
        )
        return self.said.counted_at(report.end_to_end_id, now)


def batches(items: Iterable[Line], size: int) -> Iterator[list[Line]]:
    """Yield lists of at most `size` items."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _decoded(line: Line) -> Feedback | None:
    try:
        return decode_feedback(bytes(line.data)).value
    except Malformed:
        return None


def replay(job: Replay, path: Path, count: int | None, scores: Load, feedback: Load, progress: Progress) -> None:
    """Replay the first `count` lines of a file (None: all) into two tables. Raises EventFileError, PixError."""
    job.expect(itertools.islice(read(path), count))
    task = progress.add_task("replay", total=count)
    for chunk in batches(itertools.islice(read(path), count), CHUNK):
        score_rows, feedback_rows = job.rows(chunk)
        scores.add(list(score_rows))
        feedback.add(list(feedback_rows))
        progress.advance(task, len(chunk))
    loading = progress.add_task("load into BigQuery", total=2)
    for rows in (scores, feedback):
        rows.load()
        progress.advance(loading)


def hand_over(job: Replay, store: StateLoad, progress: Progress) -> None:
    """Fill a store with the state that history ends in. Raises PixError."""
    state = job.history.state()
    rows = sum(len(table.keys) for table in state.tables) + len(job.said.heard)
    task = progress.add_task("load into the store of history", total=rows)
    started = time.perf_counter()
    store.load(state, job.said.heard, lambda count: progress.advance(task, count))
    progress.console.print(f"{rows:,} records loaded, {rows / (time.perf_counter() - started):,.0f} a second")


def bar(console: Console) -> Progress:
    """Return the progress bar of a job."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; return the exit status."""
    from jobs import wiring

    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        settings = Settings.from_env(os.environ)
        store = wiring.state_load(settings, options.state) if options.state else None
        if store:
            store.check()  # before the work, not after it
        job = Replay(
            MemoryHistory(), Pseudonymiser(settings.hmac_key.encode()), Rules.load(), settings.hmac_key_version
        )
        with bar(console) as progress:
            scores = wiring.bulk_load(settings, "score_events", os.environ)
            feedback = wiring.bulk_load(settings, "feedback", os.environ)
            replay(job, options.events, options.lines, scores, feedback, progress)
            if store:
                hand_over(job, store, progress)
        if options.state_out:
            job.history.dump(options.state_out)
    except (EventFileError, PixError) as error:
        console.print(f"replay: {error}", style="red", highlight=False)
        return 1
    console.print(
        f"{job.seen.transactions:,} transactions and {job.seen.feedback:,} reports replayed, "
        f"{job.seen.malformed:,} malformed left out",
        highlight=False,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs.replay", description=__doc__)
    parser.add_argument("events", type=Path, help="NDJSON of the public contract in time order, .gz or not")
    parser.add_argument("--lines", type=int, metavar="N", help="only the first N lines (default: all)")
    parser.add_argument("--state-out", type=Path, metavar="FILE", help="write the state of history to a file")
    parser.add_argument("--state", metavar="URL", help="load it into an empty Valkey or Redis: redis://host:port")
    return parser


if __name__ == "__main__":
    sys.exit(main())
