"""Sources of a replay: a file of events, or stored rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.contract.rows import FeedbackRow, OutcomeRow
from shared.contract.tables import plain_columns
from shared.errors import Misconfigured
from shared.features.arrays import Floats
from shared.features.columns import Columns
from shared.features.reports import UNPLACED
from shared.features.shards import ONLY, Shard
from shared.features.verdicts import VerdictLog
from shared.replay.arrow_columns import columns_of, whole
from shared.replay.arrow_rows import plain_table
from shared.replay.changes import ChangeQueue
from shared.replay.recurrence import Chunk
from shared.replay.reports import ReportQueue, chunk_of


class ReplayBatch(NamedTuple):
    """A batch of transactions: their rows, the facts that history counts, and the reports among them."""

    rows: pa.Table
    chunk: Chunk
    feedback: list[FeedbackRow]
    outcomes: list[OutcomeRow]
    done: int
    """Lines or rows read from the source so far, this batch included."""
    place: int
    """The last place of a change in this batch or before."""
    stream: int = 0
    """The shard of the rows, where a source has those of all shards."""


class LeftOut(msgspec.Struct):
    """Messages or rows of a source that change nothing, by reason."""

    malformed: int = 0
    duplicates: int = 0
    """Those that repeat an earlier one."""
    taken: int = 0
    """Those that differ from an earlier one of the same EndToEndId and side."""
    ahead: int = 0
    """Those that are dated ahead of the clock."""
    other_sides: int = 0
    """Those about a Pix that the other side had asked about."""


class ReplaySource(Protocol):
    """Transactions and reports in the order in which history counts them."""

    total: int | None
    streams: int
    """The number of orders of changes, one for each shard of the source."""

    @property
    def left_out(self) -> LeftOut:
        """The messages so far that have no row."""
        ...

    @property
    def verdicts(self) -> VerdictLog:
        """The reports of each Pix so far."""
        ...

    @property
    def reports(self) -> int:
        """The number of reports read."""
        ...

    def batches(self, sequence: int) -> Iterator[ReplayBatch]:
        """Yield the rest of the source, after `sequence` transactions. Raises PixError."""
        ...

    def note(self) -> bytes:
        """Return the position after the last batch, as JSON."""
        ...

    def resume(self, note: bytes) -> None:
        """Continue from a position."""
        ...

    def learn(self, extras: Floats) -> None:
        """Take the EXTRAS [n, len(EXTRAS)] of the transactions since it last learned: of one batch or of several."""
        ...


class _StoredNote(msgspec.Struct):
    position: int
    left_out: LeftOut
    last: list[str | int | None]
    queue: Any
    changes: Any


class StoredRows:
    """Rows of `score_events` in the order of their `place` on a shard, and the reports between them.

    A row that repeats its predecessor is left out: it was delivered twice. A row without a place counts in all its
    records, whatever the shard, as no shard has counted it.
    """

    streams = 1

    def __init__(
        self,
        open_rows: Callable[[int], Iterable[pa.Table]],
        reports: ReportQueue,
        placed: bool,
        total: int | None = None,
        changes: ChangeQueue | None = None,
        last_place: int = 0,
        shard: Shard = ONLY,
    ) -> None:
        """`open_rows(n)` yields the rows after the first n; `placed` rows have places up to `last_place`.

        Without `changes`, nothing says which Pix settled.
        """
        self._last_place = last_place
        self._shard = shard
        self._told = changes is not None
        self._changes = changes or ChangeQueue()
        self._open = open_rows
        self._reports = reports
        self.placed = placed
        """Whether the rows have places in history."""
        self._position = self._place = 0
        self._last: tuple[str | None, int] = (None, np.iinfo(np.int64).min)
        self.verdicts = reports.verdicts
        self.left_out = LeftOut()
        self.total = total

    def batches(self, sequence: int) -> Iterator[ReplayBatch]:
        """Yield the remaining rows, then the reports after the last row. Raises PixError."""
        self._place = max(self._place, sequence)
        for rows in self.remaining():
            if (batch := self.take(rows)) is not None:
                yield batch
        yield self.rest()

    @property
    def position(self) -> int:
        """Return the number of rows taken."""
        return self._position

    def remaining(self) -> Iterable[pa.Table]:
        """Return the rows that are still to be taken. Raises PixError."""
        return self._open(self._position)

    def take(self, rows: pa.Table) -> ReplayBatch | None:
        """Return the next rows as a batch, None if they repeat those before. Raises Misconfigured."""
        self._position += rows.num_rows
        fresh = self._fresh(rows)
        return self._batch(fresh) if fresh.num_rows else None

    def rest(self) -> ReplayBatch:
        """Return the changes after the last row."""
        none = plain_table({name: [] for name in plain_columns()})
        due = self._reports.rest(0)
        chunk = chunk_of(columns_of(none), *due[:2], self._changes.rest(), places=due.at, shard=self._shard)
        last = self._last_place if self.placed else self._place + len(due.before)
        return ReplayBatch(none, chunk, [], [], self._position, last)

    @property
    def reports(self) -> int:
        """The number of reports."""
        return self._reports.known

    def learn(self, extras: Floats) -> None:
        """Rows have their features already."""

    def note(self) -> bytes:
        """Return the numbers of rows read and of reports given out."""
        return msgspec.json.encode(
            _StoredNote(self._position, self.left_out, list(self._last), self._reports.note(), self._changes.note())
        )

    def resume(self, note: bytes) -> None:
        """Continue after the rows already read."""
        before = msgspec.json.decode(note, type=_StoredNote)
        self._position, self.left_out = before.position, before.left_out
        self._last = (before.last[0], before.last[1])  # type: ignore[assignment] # JSON has no tuples
        self._reports.resume(before.queue)
        self._changes.resume(before.changes)

    def _batch(self, rows: pa.Table) -> ReplayBatch:
        """Return rows with the reports and changes between them.

        A row without a place settles at once: nothing says when it did. One that was decided without history, or of
        which no changes are known, does so if it was approved.
        """
        columns = columns_of(rows)
        if not self.placed:
            return self._by_time(rows, columns)
        places = whole(rows["place"], UNPLACED)
        corrections = self._reports.before(places, whole(rows["scored_at"], 0))
        settles = _approved(rows) & ((places == UNPLACED) | (not self._told))
        due, here = self._changes.before(places), places != UNPLACED
        chunk = chunk_of(columns, *corrections[:2], due, settles, corrections.at, self._shard, here)
        return ReplayBatch(rows.drop_columns(["place"]), chunk, [], [], self._position, int(places.max(initial=0)))

    def _by_time(self, rows: pa.Table, columns: Columns) -> ReplayBatch:
        """Return rows with places of their own: each ask, settlement and correction takes the next one."""
        nowhere = np.full(len(columns), UNPLACED)
        corrections, before, _ = self._reports.before(nowhere, whole(rows["initiated_at"], 0))
        taken = np.cumsum(1 + ~columns.is_return)
        earlier = np.searchsorted(before, np.arange(len(columns)), side="right")
        places = self._place + 1 + np.concatenate(([0], taken[:-1])) + earlier
        self._place += int(taken[-1]) + len(before)
        rows = rows.drop_columns([name for name in ("history_sequence", "place") if name in rows.column_names])
        rows = rows.append_column("history_sequence", pa.array(places))
        chunk = chunk_of(columns, corrections, before, settles=np.ones(len(columns), dtype=bool))
        return ReplayBatch(rows, chunk, [], [], self._position, self._place)

    def _fresh(self, rows: pa.Table) -> pa.Table:
        """Return the rows that do not repeat their predecessor. Raises Misconfigured if they are out of order."""
        ids: NDArray[np.object_] = rows["end_to_end_id"].to_numpy()
        before = np.roll(ids, 1)
        before[0] = self._last[0]
        order = whole(rows["place" if self.placed else "initiated_at"], UNPLACED)
        if self.placed:
            order = order[order != UNPLACED]
        if np.any(order[1:] < order[:-1]) or (len(order) and order[0] < self._last[1]):
            raise Misconfigured(
                "the rows are in the order of neither history_sequence nor, without one, initiated_at; "
                "write them with ORDER BY"
            )
        self._last = (ids[-1], int(order[-1]) if len(order) else self._last[1])
        fresh = ids != before
        self.left_out.duplicates += len(ids) - int(fresh.sum())
        return rows.filter(pa.array(fresh))


def _approved(rows: pa.Table) -> NDArray[np.bool_]:
    """Return whether each Pix was approved [n]; rows without decisions were."""
    if "decision" not in rows.column_names:
        return np.ones(rows.num_rows, dtype=bool)
    return np.array([each == "APPROVE" for each in rows["decision"].to_pylist()], dtype=bool)
