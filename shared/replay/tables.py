"""Reading `pix.score_events` and `pix.feedback` through Parquet exports in the bucket."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.contract.tables import counted, plain_columns, table, timestamp, told
from shared.contract.tables import reported as kept_reports
from shared.features.places import LAST_NUMBER, SHARDS_MAX
from shared.features.rebuilding import IMPLIED_COLUMNS
from shared.features.shards import ONLY, Shard
from shared.ports.tables import StagedExports
from shared.replay.arrow_columns import EVENT_COLUMNS
from shared.replay.changes import ASK_COLUMNS, DECIDED, ChangeQueue
from shared.replay.parquet import PARTIES, REPORT_COLUMNS, batches, parties_of, reported
from shared.replay.reported import Reported
from shared.replay.reports import ReportQueue
from shared.replay.sources import StoredRows

_LAST = np.iinfo(np.int64).max
_IN_ORDER = "ORDER BY place, turn, told, received_at, `at`"
_OF_A_DELIVERY = ("published_at", "delivery_attempt", "claim_number", "place_pending")
"""Columns that differ between the rows of two deliveries."""
_CHANGES = Path(__file__).with_name("changes.sql")


class Stretch(NamedTuple):
    """The places of a shard of history after `after`, up to and with `until`."""

    after: int = 0
    until: int = _LAST


WHOLE = Stretch()
"""All of history."""


class StoredTables:
    """The tables of one dataset as a shard of history counted their rows.

    `place` is the place of an ask, outcome or report on the shard, the last one of a report, and `decided_place` that
    of a decision; NULL where it has none there.
    """

    def __init__(
        self, exports: StagedExports, project: str, dataset: str, shard: Shard = ONLY, hmac_key: str | None = None
    ) -> None:
        """`hmac_key` is the fingerprint of the HMAC key under which ids are read; without, they stand as written."""
        self._exports = exports
        self.hmac_key = hmac_key
        self.shard = shard
        self.score_events = self._decisions(counted(project, dataset, hmac_key=hmac_key))
        """Decisions as history counted them, in GoogleSQL, as are the others."""
        asked = (*plain_columns(), *IMPLIED_COLUMNS)
        self.asks = self._decisions(counted(project, dataset, asked, hmac_key=hmac_key))
        """Decisions with no other features than those by which settlements are counted."""
        self.places = self._decisions(counted(project, dataset, ("initiated_at", "scored_at")))
        """Decisions with little beside their places."""
        self.feedback = self._placed(kept_reports(project, dataset, hmac_key))
        self.outcomes = self._placed(told(project, dataset))
        self._every_outcome = f"`{project}.{dataset}.outcomes`"  # also those that history has still to count

    def rows(self, sql: str) -> pa.Table:
        """Return the rows of a small query. Raises Unavailable, Misconfigured."""
        with TemporaryDirectory(prefix="rows-") as folder:
            return pa.concat_tables(pq.read_table(file) for file in self._exports.export(sql, Path(folder)))

    def batches(self, sql: str) -> Iterator[pa.Table]:
        """Yield the rows of a query in its order, CHUNK at a time. Raises Unavailable, Misconfigured."""
        name = uuid.uuid4().hex
        with TemporaryDirectory(prefix="rows-") as folder, contextlib.ExitStack() as after:
            after.callback(self._exports.clear, name)
            self._exports.stage(sql, name)
            yield from batches(self._exports.staged(name, Path(folder)))

    def reports(self) -> list[Reported]:
        """Return the reports about known Pix, and fraud markers. Raises Unavailable, Misconfigured."""
        return reported(self.rows(self._reports()), parties_of(self.rows(self._reported_parties())), placed=True)

    def _decisions(self, sql: str) -> str:
        own = _on(self.shard, "decided_sequence", "decided_visited")
        return f"(SELECT *, {_on(self.shard)} AS place, {own} AS decided_place FROM ({sql}) AS decisions)"  # noqa: S608 (names of our own)

    def _placed(self, sql: str) -> str:
        return f"(SELECT *, {_on(self.shard)} AS place FROM ({sql}) AS placed)"  # noqa: S608 (names of our own)

    def scored_since(self, moment: dt.datetime) -> list[tuple[str, str]]:
        """Return EndToEndId and side of rows scored since a moment that have a place; the others are to be counted.

        Raises Unavailable, Misconfigured.
        """
        columns = "end_to_end_id, COALESCE(side, 'PAYER') AS side"
        which = f"history_sequence IS NOT NULL AND scored_at >= {timestamp(moment)}"
        sql = f"SELECT DISTINCT {columns} FROM {self.places} AS counted WHERE {which}"  # noqa: S608 (names of our own)
        found = (batch.to_pydict() for batch in self.batches(sql))
        return [row for each in found for row in zip(each["end_to_end_id"], each["side"], strict=True)]

    @classmethod
    def each(
        cls, exports: StagedExports, project: str, dataset: str, shards: int, hmac_key: str | None = None
    ) -> list[Self]:
        """Return the tables as each shard of a history counted their rows."""
        return [cls(exports, project, dataset, shard, hmac_key) for shard in Shard.each(shards)]

    def stage(self, run: str, counted_only: bool = False, stretch: Stretch = WHOLE) -> None:
        """Stage the rows and reports of a replay for `source`. Raises Unavailable, Misconfigured.

        `counted_only` leaves out transactions scored without history, which never counted them. Of changes, those of
        Pix that changed within the stretch are staged, for their earlier ones may weigh on the later ones.
        """
        self.clear(run)
        queries = {
            "rows": self._ordered(_counted_where(stretch) if counted_only else self._here()),
            "reports": self._reports(),
            "parties": self._reported_parties(),
            "changes": f"{self._changed_within(stretch)} {_IN_ORDER}",
            "counts": self._counts(),
        }
        for name, sql in queries.items():
            self._exports.stage(sql, _name(run, name))

    def source(self, run: str, folder: Path, counted_only: bool = False, stretch: Stretch = WHOLE) -> StoredRows:
        """Return the staged rows; `folder` holds one file at a time. Raises Unavailable, Misconfigured.

        Changes and reports before the stretch count as counted: a replay begins in the state after them.
        """
        (counts,) = pa.concat_tables(self._few(run, "counts", folder)).to_pylist()
        placed = counts["placed"] > 0
        parties = {id_: each for rows in self._few(run, "parties", folder) for id_, each in parties_of(rows).items()}
        rows = self._few(run, "reports", folder)
        (changes := folder / "changes").mkdir()  # the files of both are numbered alike
        reports = reported(pa.concat_tables(rows), parties, placed) if rows else []
        shard = self.shard if placed else ONLY
        queue = ReportQueue(reports, counted_only, stretch.until, shard)
        told = ChangeQueue(batches(self._exports.staged(_name(run, "changes"), changes)), shard)
        if stretch.after:
            queue.skip(stretch.after)
            told.skip(stretch.after)
        return StoredRows(
            lambda done: batches(self._exports.staged(_name(run, "rows"), folder), done),
            queue,
            placed,
            counts["row_count"] if stretch == WHOLE else None,
            told,
            min(counts["last_place"] or 0, stretch.until),
            shard,
        )

    def clear(self, run: str) -> None:
        """Remove the staged files of a run."""
        self._exports.clear(_name(run))

    def _few(self, run: str, name: str, folder: Path) -> list[pa.Table]:
        """Return the staged tables; a query without rows may leave no file at all."""
        return [pq.read_table(file) for file in self._exports.staged(_name(run, name), folder)]

    def _reports(self) -> str:
        """Return the query of the states of reports on which history depends; each once, as it was first received."""
        names = ", ".join(name for name in REPORT_COLUMNS if name not in ("received_at", "visited"))
        return (
            f"SELECT {names}, MIN(received_at) AS received_at, ANY_VALUE(visited) AS visited FROM {self.feedback} "  # noqa: S608 (names of our own)
            f"WHERE source IN ('MED', 'ANALYST', 'CUSTOMER', 'FRAUD_MARKER') GROUP BY {names}"
        )

    def _reported_parties(self) -> str:
        """Return the query of the parties of each Pix, and return, that was reported."""
        parties = ", ".join(f"ANY_VALUE({name}) AS {name}" for name in PARTIES)
        back = "ANY_VALUE(payee_id) AS payer_id, ANY_VALUE(payer_id) AS payee_id, ANY_VALUE(device_id) AS device_id"
        return (
            f"WITH ids AS (SELECT DISTINCT end_to_end_id FROM {self.feedback}), "  # noqa: S608 (names of our own)
            f"scored AS (SELECT end_to_end_id, {parties} FROM {self.asks} GROUP BY end_to_end_id), "
            f"returned AS (SELECT return_id AS end_to_end_id, {back} FROM {self._every_outcome} AS outcomes "
            "JOIN scored ON scored.end_to_end_id = outcomes.end_to_end_id WHERE return_id IS NOT NULL "
            "GROUP BY return_id) "
            f"SELECT end_to_end_id, {', '.join(PARTIES)} FROM scored JOIN ids USING (end_to_end_id) UNION ALL "
            f"SELECT end_to_end_id, {', '.join(PARTIES)} FROM returned JOIN ids USING (end_to_end_id) "
            "WHERE end_to_end_id NOT IN (SELECT end_to_end_id FROM scored)"
        )

    def _ordered(self, which: str) -> str:
        """Return the query of transactions `which` apply, each once, in the order of history.

        Copies of a Pix in one batch have one place and one time; the first one claimed is read, whoever asks.

        A transaction that history did not count stands before the first counted one of a later hour, so that its
        features know nothing of later events.
        """
        names = ", ".join(f"scored.{name}" for name in (*plain_columns(), "place"))
        return (
            f"SELECT {names} FROM (SELECT * FROM {self.asks} WHERE {which} "  # noqa: S608 (names of our own)
            "QUALIFY ROW_NUMBER() OVER (PARTITION BY end_to_end_id, initiated_at "
            "ORDER BY IF(history_sequence IS NULL, 1, 0), turn, scored_at, history_sequence, "
            "claim_number, delivery_attempt) = 1) AS scored "
            "LEFT JOIN (SELECT hour, MIN(first_place) OVER (ORDER BY hour "
            "ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS place "
            "FROM (SELECT TIMESTAMP_TRUNC(initiated_at, HOUR) AS hour, MIN(place) AS first_place "
            f"FROM {self.asks} GROUP BY hour) AS hours) AS later "
            "ON later.hour = TIMESTAMP_TRUNC(scored.initiated_at, HOUR) "
            f"ORDER BY COALESCE(scored.place, later.place, {_LAST}), "
            "IF(scored.history_sequence IS NULL, 0, 1), scored.initiated_at, scored.end_to_end_id"
        )

    def changes(self, stretch: Stretch = WHOLE) -> Iterator[pa.Table]:
        """Yield the changes by decisions and outcomes of the Pix that changed within a stretch, in their order.

        Those up to its end, as earlier ones may weigh on the later ones. Raises Unavailable, Misconfigured.
        """
        return self.batches(f"{self._changed_within(stretch)} {_IN_ORDER}")

    def _changed_within(self, stretch: Stretch) -> str:
        """Return the query of the changes up to the end of a stretch of the Pix that changed within it."""
        if stretch == WHOLE:
            return f"SELECT * FROM ({self._changes()}) AS changes"  # noqa: S608 (names of our own)
        return (
            f"SELECT * FROM ({self._changes()}) AS changes WHERE place <= {stretch.until} "  # noqa: S608 (names of our own)
            f"QUALIFY MAX(place) OVER (PARTITION BY end_to_end_id) > {stretch.after}"
        )

    def _changes(self) -> str:
        """Return the query of the changes of history by decisions and outcomes, with the columns of each ask."""
        return _CHANGES.read_text("utf-8").format(
            columns=", ".join(ASK_COLUMNS),
            asks=", ".join(f"asks.{name}" for name in ASK_COLUMNS),
            decided=DECIDED,
            score_events=self.asks,
            outcomes=self.outcomes,
        )

    def _here(self) -> str:
        """Return the condition of the transactions that have a place on the shard, or nowhere: of these, once."""
        if self.shard.is_only:
            return "TRUE"
        return "place IS NOT NULL" + (" OR history_sequence IS NULL" if self.shard.number == 0 else "")

    def _counts(self) -> str:
        return (
            "SELECT row_count, placed, GREATEST(asked, decided, "  # noqa: S608 (names of our own)
            f"COALESCE((SELECT MAX(place) FROM {self.outcomes} AS outcomes), 0), "
            f"COALESCE((SELECT MAX(place) FROM {self.feedback} AS reports), 0)) AS last_place "
            "FROM (SELECT COUNT(DISTINCT end_to_end_id) AS row_count, COUNT(history_sequence) AS placed, "
            "COALESCE(MAX(place), 0) AS asked, COALESCE(MAX(decided_place), 0) AS decided "
            f"FROM {self.places} AS counted) AS scored"
        )


def columns(features: bool) -> str:
    """Return the selected columns of `score_events`: facts and order, or all that a redelivery repeats."""
    if not features:
        return ", ".join((*EVENT_COLUMNS, "scored_at", "history_sequence", "place"))
    names = (column.name for column in table("score_events").schema if column.name not in _OF_A_DELIVERY)
    return ", ".join((*names, "place", "filled", "part_lost"))


def _on(shard: Shard, own: str = "history_sequence", visited: str = "visited") -> str:
    """Return the expression of the last place on a shard of a change, given the columns of its places."""
    if shard.is_only:
        return own
    each = f"MOD(DIV(each, {LAST_NUMBER + 1}), {SHARDS_MAX})"
    return f"(SELECT MAX(each) FROM UNNEST(ARRAY_CONCAT([{own}], {visited})) AS each WHERE {each} = {shard.number})"  # noqa: S608 (names of our own)


def _counted_where(stretch: Stretch) -> str:
    if stretch == WHOLE:
        return "place IS NOT NULL"
    return f"place > {stretch.after} AND place <= {stretch.until}"


def _name(run: str, name: str = "") -> str:
    return f"{run}/{name}" if name else run
