"""Check the outcome of a run, by query and by replay."""

from __future__ import annotations

import collections
import datetime as dt
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
from msgspec import Struct

from infra.local.cloud import LocalCloud
from jobs.cli import history_wiring
from shared.contract.tables import feature_columns, timestamp
from shared.features.state import State
from shared.replay.arrow_columns import floats
from shared.replay.audit import audit, logged
from shared.scoring.bundle import Bundle
from tests.benchmarks.faults.clock import DAY
from tests.benchmarks.faults.models import Files
from tests.benchmarks.faults.scale import Report
from tests.benchmarks.faults.stream import Asked, Stream
from tests.benchmarks.faults.watch import Shown, Watch

TOLERANCE = 1e-9
"""Largest difference between a stored score and one recomputed from the stored features."""
_LISTED = 5
_ASKED = "end_to_end_id, COALESCE(side, 'PAYER') AS side"


class Result(Struct):
    """The JSON result: what was asked about Pix, by each side, and its outcome."""

    pix: int
    published: int
    scored: int
    lost: int
    duplicated: int
    decisions_changed: int
    history_mismatches: int
    without_place: int
    quarantined: int
    redriven_a_day_later: int
    swaps: int
    bad_bundles_refused: int


class Deadline(NamedTuple):
    """The deadline of a decision in a run.

    The stream spans days and is published within minutes, so a deadline of seconds would make all of it late. This
    one makes every Pix late that was initiated before a time in the middle of the stream, even if it is published
    later, between Pix that are in time.
    """

    seconds: float
    """Age beyond which a Pix is late."""
    began: float
    """Earliest possible time of a score, in seconds since the epoch."""

    @classmethod
    def at(cls, middle: float, behind: float) -> Self:
        """Return the deadline that makes Pix initiated until `middle` late, and those long after it in time.

        Clocks are `behind` by so many seconds at most.
        """
        now = math.floor(time.time() - behind)
        return cls(now - math.floor(middle), now)


class Run(NamedTuple):
    """The inputs of the checks: `good` models by version, and the number of `bad` kinds."""

    sent: Stream
    report: Report
    watch: Watch
    deadline: Deadline
    good: dict[str, Files]
    bad: int


@dataclass
class Findings:
    """The result, the problems, and notes."""

    result: Result
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Queries:
    """The queries on the tables of a run."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._client = cloud.bigquery()
        self._data = history_wiring.stored_tables(cloud.settings)[0]

    def progress(self) -> tuple[int, int, int, int]:
        """Count the stored questions, outcomes, reports and malformed messages."""
        sql = (
            f"SELECT (SELECT COUNT(*) FROM (SELECT DISTINCT {_ASKED} FROM pix.score_events) AS s) AS scored, "
            "(SELECT COUNT(*) FROM (SELECT DISTINCT end_to_end_id, side, status, return_id FROM pix.outcomes) AS o) "
            "AS told, "
            "(SELECT COUNT(*) FROM (SELECT DISTINCT report_id, reported_at, status, verdict FROM pix.feedback) AS r) "
            "AS reports, "
            "(SELECT COUNT(DISTINCT payload_hash) FROM pix.quarantine) AS malformed"
        )
        row = next(iter(self._client.query(sql).result(timeout=120)))
        return row.scored, row.told, row.reports, row.malformed

    def findings(self, run: Run) -> Findings:
        """Run all checks."""
        sent, report = run.sent, run.report
        asked = [each for rows in self._data.batches(f"SELECT {_ASKED} FROM pix.scores") for each in _asked(rows)]
        result = Result(
            pix=len({id_ for id_, _ in sent.asked}),
            published=len(sent.asked),
            scored=len(set(asked) & sent.asked),
            lost=len(sent.asked - set(asked)),
            duplicated=len(asked) - len(set(asked)),
            decisions_changed=0,
            history_mismatches=0,
            without_place=self._without_place(),
            quarantined=0,
            redriven_a_day_later=report.redriven,
            swaps=report.swaps,
            bad_bundles_refused=len(report.refused),
        )
        found = Findings(result, list(report.problems))
        self._quarantine(found, sent)
        self._decisions(found, run.watch)
        self._history(found)
        self._late(found, run.deadline)
        self._models(found, run.good)
        if len(report.refused) != run.bad:
            found.problems.append(f"{run.bad} bundles were broken, {len(report.refused)} refused")
        for name in ("lost", "duplicated", "decisions_changed", "history_mismatches", "without_place"):
            if value := getattr(result, name):
                found.problems.append(f"{name}: {value}")
        return found

    def _without_place(self) -> int:
        """Return the number of transactions that history has never counted."""
        sql = (
            "SELECT COUNT(*) AS n FROM (SELECT end_to_end_id FROM "
            f"{self._data.score_events} AS counted GROUP BY end_to_end_id HAVING COUNT(history_sequence) = 0) AS rest"
        )
        return int(next(iter(self._client.query(sql).result(timeout=300))).n)

    def _quarantine(self, found: Findings, sent: Stream) -> None:
        """Check that every malformed message has exactly one row, and no other message has one."""
        sql = "SELECT payload_hash, COUNT(*) AS n FROM pix.quarantined GROUP BY payload_hash"
        rows = {row.payload_hash: row.n for row in self._client.query(sql).result(timeout=120)}
        found.result.quarantined = sum(rows.values())
        if missing := set(sent.malformed) - set(rows):
            found.problems.append(f"{len(missing)} malformed messages are not in quarantine")
        if wrong := set(rows) - set(sent.malformed):
            found.problems.append(f"{len(wrong)} valid messages are in quarantine")
        if again := sum(n - 1 for n in rows.values()):
            found.problems.append(f"{again} duplicate rows in quarantine")

    def shown(self, since: dt.datetime | None) -> dict[Asked, Shown]:
        """Return the row in pix.scores of each side of a Pix, scored after `since`. Raises PixError."""
        names = ", ".join((_ASKED, *Shown._fields))
        where = f" WHERE scored_at > {timestamp(since)}" if since else ""
        return {
            (row.pop("end_to_end_id"), row.pop("side")): Shown(**row)
            for batch in self._data.batches(f"SELECT {names} FROM pix.scores{where}")
            for row in batch.to_pylist()
        }

    def _decisions(self, found: Findings, watch: Watch) -> None:
        """Check that no decision in pix.scores changed, and that all rows of a claim agree.

        A transaction scored without history has no claim, and one whose claim a failover has lost gets another, so a
        redelivery is scored again. These are counted in a note; the first decision remains in effect.
        """
        claimed, scored = collections.defaultdict(set), collections.defaultdict(set)
        names = "history_sequence, scored_at, decision, score, model_version"
        stored = 0
        for batch in self._data.batches(f"SELECT {_ASKED}, {names} FROM pix.score_events"):
            for id_, side, *row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                stored += 1
                scored[id_, side].add(tuple(row))
                if row[0] is not None:
                    claimed[(id_, side), row[0]].add(tuple(row))
        unlike = {asked for (asked, _), rows in claimed.items() if len(rows) > 1}
        found.result.decisions_changed = len(unlike | set(watch.changes))
        again = [{row[2:] for row in rows} for asked, rows in scored.items() if len(rows) > 1 and asked not in unlike]
        otherwise = sum(len(rows) > 1 for rows in again)
        found.notes += [
            f"{stored:,} rows of {len(scored):,} questions in pix.score_events",
            f"{len(again)} questions were scored again without a claim, {otherwise} of them differently; "
            "pix.scores shows the first decision",
            f"{watch.looks} reads of pix.scores during the run and at its end: {watch.rows:,} rows compared with "
            f"their first state, {len(watch.changes)} changed, {watch.gave_way} gave way to a copy with history that "
            "was scored at the same time",
            *(f"changed: {n} x {kind}" for kind, n in watch.kinds().most_common()),
            *map(self._rows_of, sorted(watch.changes)[:_LISTED]),
            *(f"rows of one claim differ: {sorted(map(str, scored[asked]))}" for asked in sorted(unlike)[:_LISTED]),
        ]

    def _rows_of(self, asked: Asked) -> str:
        """Describe the rows of a question by the columns by which pix.scores orders them."""
        names = "history_sequence, claim_number, published_at, delivery_attempt, scored_at"
        sql = f"SELECT {_ASKED}, {names} FROM pix.score_events"
        own = f"SELECT {names} FROM ({sql}) AS every_row WHERE end_to_end_id = '{asked[0]}' AND side = '{asked[1]}'"
        return f"rows of {asked}: {[dict(row) for row in self._client.query(own).result(timeout=120)]}"

    def _history(self, found: Findings) -> None:
        """Check that served features equal a replay, and that every counted transaction has a row."""
        outcome = audit([self._data], None, State.empty(), lambda *_: None)
        unequal, conflicts = outcome["unequal_duplicates"]["count"], outcome["places_taken_twice"]["count"]
        gaps = outcome["gaps"]["transactions"]
        found.result.history_mismatches = (
            outcome["rows_with_differences"] + unequal + conflicts + outcome["counted_twice"] + gaps
        )
        found.notes.append(
            f"{outcome['compared']:,} rows compared with a replay, {outcome['skipped']['without_history']:,} were "
            f"scored without history, {outcome['duplicates']:,} were written again, {gaps:,} sequence numbers have "
            "no row"
        )
        if found.result.history_mismatches:
            found.notes.append(f"differences: {outcome}")

    def _late(self, found: Findings, deadline: Deadline) -> None:
        """Check that exactly the rows scored after their deadline are marked late, by their own times and by ours.

        At the end the clocks of functions are a day ahead.
        """
        first = dt.datetime.fromtimestamp(deadline.began - deadline.seconds, dt.UTC)
        last = dt.datetime.fromtimestamp(math.ceil(time.time()) + DAY - deadline.seconds, dt.UTC)
        sql = (
            "SELECT COUNTIF(late) AS late, COUNTIF(NOT late) AS in_time, COUNTIF(late != "
            f"(TIMESTAMP_DIFF(scored_at, initiated_at, MICROSECOND) > {round(deadline.seconds * 1e6)})) AS wrong, "
            f"COUNTIF(initiated_at < {timestamp(first)} AND NOT late) + "
            f"COUNTIF(initiated_at >= {timestamp(last)} AND late) AS surely_wrong FROM pix.score_events"
        )
        row = next(iter(self._client.query(sql).result(timeout=120)))
        found.notes.append(f"{row.late:,} rows are late, {row.in_time:,} in time")
        if wrong := max(row.wrong, row.surely_wrong):
            found.problems.append(f"{wrong} rows are wrongly marked late or in time")
        if not (row.late and row.in_time):
            found.problems.append("all Pix are on one side of the deadline")

    def _models(self, found: Findings, good: dict[str, Files]) -> None:
        """Check that every score is the score of its version's complete bundle for the features in the row."""
        bundles = {version: Bundle(files) for version, files in good.items()}
        served: collections.Counter[str | None] = collections.Counter()
        wrong = 0
        for batch in self._scored():
            versions = _column(batch, "model_version")
            served.update(versions)
            scores, vectors = floats(batch["score"]), logged(batch)
            for version in set(versions) & set(bundles):
                own = np.array([each == version for each in versions])
                wrong += int(np.sum(~(np.abs(bundles[version].score(vectors[own]) - scores[own]) <= TOLERANCE)))
            wrong += int(np.sum(~np.isnan(scores) & np.array([each is None for each in versions])))
        if wrong:
            found.problems.append(f"{wrong} scores differ from those of their model")
        if unknown := sorted(str(each) for each in set(served) - set(bundles) - {None}):
            found.problems.append(f"incomplete bundles have scored: {unknown}")
        rules = served.pop(None, 0)
        found.notes.append(f"{len(served)} models have scored; {rules:,} rows were decided by rules alone")

    def _scored(self) -> Iterator[pa.Table]:
        columns = ", ".join(("model_version", "score", *feature_columns()))
        return iter(self._data.batches(f"SELECT {columns} FROM pix.score_events"))


def _asked(rows: pa.Table) -> Iterator[Asked]:
    return zip(_column(rows, 0), _column(rows, 1), strict=True)


def _column(rows: pa.Table, name: int | str) -> list[Any]:
    return list(rows.column(name).to_pylist())
