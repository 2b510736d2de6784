"""Rows of `pix.score_events`, `pix.outcomes` and `pix.feedback` in Parquet, as a source of replays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.contract.rows import FeedbackRow
from shared.contract.tables import plain_columns
from shared.errors import Misconfigured
from shared.ports.decisions import Parties
from shared.replay.arrow_columns import EVENT_COLUMNS, whole
from shared.replay.changes import ASK_COLUMNS, ChangeQueue
from shared.replay.recurrence import CHUNK
from shared.replay.reported import Reported
from shared.replay.reports import ReportQueue
from shared.replay.sources import StoredRows
from shared.replay.told import changes_of

PARTIES = ("payer_id", "payee_id", "device_id")
_ID = "end_to_end_id"
_PLACE = "history_sequence"
_OWN = "decided_sequence"


class Files:
    """Parquet files of rows like those of `score_events`, in order, and of `feedback` and `outcomes`.

    `--out` of a replay of events writes them. Outcomes belong to rows with places; these outcomes, and the rows of
    the Pix that they or decisions changed, are in memory.
    """

    def __init__(self, path: Path, feedback: Path | None) -> None:
        """`path` and `feedback` are files or folders; a folder may hold all. Raises Misconfigured."""
        self._files = _parquet(path, "score_events-")
        self._outcomes = sorted(path.glob("outcomes-*.parquet")) if path.is_dir() else []
        self._feedback = _parquet(feedback, "feedback-") if feedback else []
        if not feedback and path.is_dir():
            self._feedback = sorted(path.glob("feedback-*.parquet"))
        for file in self._files:
            with contextlib.closing(_opened(file)) as source:
                if missing := [name for name in EVENT_COLUMNS if name not in source.schema_arrow.names]:
                    raise Misconfigured(f"{file} lacks the columns {', '.join(missing)}")

    def source(self) -> StoredRows:
        """Return the rows of the files as a source. Raises Misconfigured."""
        reports, outcomes = _read(self._feedback), _read(self._outcomes)
        returns = _returns(reports, outcomes)
        parties, places, total = self._survey(reports, returns)
        placed = places > 0
        known = parties_of(parties)
        told = reported(reports, known | _of_returns(known, returns), placed) if reports is not None else []
        last = max(places, _last_place(reports), _last_place(outcomes)) if placed else 0
        return StoredRows(
            lambda done: map(_at_their_places, batches(self._files, done, plain_columns())),
            ReportQueue(told),
            placed,
            total,
            self._changes(outcomes) if placed else None,
            last,
        )

    def _survey(self, reports: pa.Table | None, returns: Mapping[str, str]) -> tuple[pa.Table, int, int]:
        """Return the parties of Pix that were reported, or of which `returns` were, the last place and the count."""
        ids = pa.array({*_ids(reports, _ID), *returns.values()}, pa.string())
        found, last, total = [], 0, 0
        for batch in batches(self._files, columns=(_ID, *PARTIES, _PLACE, _OWN)):
            found.append(batch.select((_ID, *PARTIES)).filter(pc.is_in(batch[_ID], value_set=ids)))
            total += batch.num_rows
            last = max(last, _last_place(batch), _last_place(batch, _OWN))
        if not found:
            raise Misconfigured("the Parquet files hold no rows")
        parties = pa.concat_tables(found).group_by(_ID).aggregate([(name, "min") for name in PARTIES])
        return parties.rename_columns([name.removesuffix("_min") for name in parties.column_names]), last, total

    def _changes(self, outcomes: pa.Table | None) -> ChangeQueue | None:
        """Return the changes by outcomes and decisions; None if there are neither. Raises Misconfigured."""
        ids = pa.array(_ids(outcomes, _ID), pa.string())
        scores, decided = [], False
        for batch in batches(self._files, columns=(*ASK_COLUMNS, "decision", _OWN)):
            rows = (
                batch if _OWN in batch.column_names else batch.append_column(_OWN, pa.nulls(len(batch), pa.int64()))
            )
            decided |= rows[_OWN].null_count < len(rows)
            if outcomes is not None or decided:
                scores.append(self._told(rows, ids))
        if outcomes is None and not decided:
            return None
        return ChangeQueue(changes_of(pa.concat_tables(scores), outcomes))

    def _told(self, rows: pa.Table, ids: pa.Array) -> pa.Table:
        """Return the rows of Pix that outcomes or decisions changed. Raises Misconfigured."""
        if missing := [name for name in (*ASK_COLUMNS, "decision") if name not in rows.column_names]:
            raise Misconfigured(f"the rows lack the columns {', '.join(missing)}, by which outcomes are counted")
        return rows.filter(pc.or_(pc.is_in(rows[_ID], value_set=ids), pc.is_valid(rows[_OWN])))


def _at_their_places(rows: pa.Table) -> pa.Table:
    """Return rows with their place, which is that of a history that is not divided."""
    places = rows[_PLACE] if _PLACE in rows.column_names else pa.nulls(rows.num_rows, pa.int64())
    return rows.append_column("place", places)


def _read(files: Sequence[Path]) -> pa.Table | None:
    return pa.concat_tables(pq.read_table(file) for file in files) if files else None


def _ids(rows: pa.Table | None, name: str) -> set[str]:
    """Return the distinct ids in a column."""
    return set(rows[name].unique().drop_null().to_pylist()) if rows is not None else set()


def _returns(reports: pa.Table | None, outcomes: pa.Table | None) -> dict[str, str]:
    """Return the EndToEndId of the Pix of each return that was reported."""
    if reports is None or outcomes is None:
        return {}
    about = pa.array(_ids(reports, _ID), pa.string())
    found = outcomes.filter(pc.is_in(outcomes["return_id"], value_set=about))
    return dict(zip(found["return_id"].to_pylist(), found[_ID].to_pylist(), strict=True))


def _of_returns(known: Mapping[str, Parties], returns: Mapping[str, str]) -> dict[str, Parties]:
    """Return the parties of returns: the payee of the Pix pays its payer."""
    found = {id_: known[of] for id_, of in returns.items() if of in known and id_ not in known}
    return {id_: Parties(each.payee_id, each.payer_id, each.device_id) for id_, each in found.items()}


def _last_place(rows: pa.Table | None, name: str = _PLACE) -> int:
    """Return the highest place of rows, 0 for none."""
    return int(whole(rows[name], 0).max(initial=0)) if rows is not None and name in rows.column_names else 0


def batches(files: Iterable[Path], skip: int = 0, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield the rows of Parquet files but the first `skip`, CHUNK at a time. Raises Misconfigured."""
    for file in files:
        with contextlib.closing(_opened(file)) as source:
            groups = list(range(source.num_row_groups))
            while groups and skip >= source.metadata.row_group(groups[0]).num_rows:
                skip -= source.metadata.row_group(groups.pop(0)).num_rows
            for batch in source.iter_batches(CHUNK, row_groups=groups, columns=columns):
                rows = pa.Table.from_batches([batch]).slice(skip)
                skip -= batch.num_rows - rows.num_rows
                if rows.num_rows:
                    yield rows


def reported(rows: pa.Table, parties: Mapping[str, Parties], placed: bool) -> list[Reported]:
    """Return reports from rows of `feedback`, given the parties of each known Pix by EndToEndId.

    A report about no known Pix is left out; a fraud marker is about the Pix of its infraction report. If transactions
    have places in history, the reports that history counted have one too; if no report has, each counts when it was
    received. If transactions have none, both are ordered by event time.
    """
    known = [_feedback_row(row, placed) for row in _plain(rows).to_pylist()]
    pix: dict[str, set[str]] = {}
    for row in known:
        if row.source == "MED" and row.end_to_end_id and row.end_to_end_id in parties:
            pix.setdefault(row.report_id, set()).add(row.end_to_end_id)
    found = []
    for row in known:
        about = pix.get(row.infraction_report_id or "", set()) if row.end_to_end_id is None else {row.end_to_end_id}
        each = {id_: parties[id_] for id_ in about if id_ in parties}
        if each or row.source == "FRAUD_MARKER":
            found.append(Reported(row, each))
    return found


def parties_of(rows: pa.Table) -> dict[str, Parties]:
    """Return the parties of each Pix from rows with its id and those."""
    columns = (rows[name].to_pylist() for name in (_ID, *PARTIES))
    return {id_: Parties(payer, payee, device) for id_, payer, payee, device in zip(*columns, strict=True)}


REPORT_COLUMNS = (
    *("source", "report_id", "end_to_end_id", "reported_at", "received_at", "verdict", "status", "analysis_result"),
    *("hop", "funds_recovery_id", "person_id", "key_id", "infraction_report_id", "state_hash", "history_sequence"),
    "visited",
)
"""The columns of `feedback` on which history depends."""
_TIMES = ("reported_at", "received_at")


def _plain(rows: pa.Table) -> pa.Table:
    """Return the columns on which history depends, as far as the rows have them, with times in microseconds."""
    found = rows.select([name for name in REPORT_COLUMNS if name in rows.column_names])
    for name in _TIMES:
        found = found.set_column(found.column_names.index(name), name, pa.array(whole(rows[name], 0)))
    return found


def _feedback_row(values: dict[str, Any], placed: bool) -> FeedbackRow:
    row = FeedbackRow(**values | {"visited": tuple(values.get("visited") or ())})
    if placed:
        return row
    return msgspec.structs.replace(row, received_at=row.reported_at, history_sequence=None, visited=())


def _parquet(path: Path, prefix: str) -> list[Path]:
    """Return the Parquet files at a path; in a folder, preferably those with `prefix`. Raises Misconfigured."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob(f"{prefix}*.parquet")) or sorted(path.glob("*.parquet"))
    if not files:
        raise Misconfigured(f"{path} holds no Parquet file")
    return files


def _opened(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, pre_buffer=False)  # a row group may be large
    except (OSError, pa.ArrowInvalid) as error:
        raise Misconfigured(f"{file} cannot be read as Parquet ({type(error).__name__})") from error
