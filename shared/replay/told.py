"""Changes of history by decisions and outcomes from rows in memory, as `changes.sql` selects them from the tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.features.outcomes import REFUSALS
from shared.features.reports import UNPLACED
from shared.replay.arrow_columns import floats, whole
from shared.replay.changes import ASK_COLUMNS, CHANGE_COLUMNS, DECIDED
from shared.replay.recurrence import CHUNK

_LAST = np.iinfo(np.int64).max
_WORDS = pa.schema(
    {
        "end_to_end_id": pa.string(),
        "own": pa.int64(),
        "status": pa.string(),
        "decided_side": pa.string(),
        "approved": pa.bool_(),
        "at": pa.timestamp("us", "UTC"),
        "return_id": pa.string(),
        "returned": pa.float64(),
        "received_at": pa.timestamp("us", "UTC"),
    }
)
"""One statement about a Pix; `own` is its place in history, null if it changed nothing when it came."""


def changes_of(scores: pa.Table, outcomes: pa.Table | None) -> Iterator[pa.Table]:
    """Yield changes with CHANGE_COLUMNS and ASK_COLUMNS in the order of history, CHUNK at a time.

    `scores` have ASK_COLUMNS, `decision` and `decided_sequence`; `outcomes` have the columns of that table. An
    outcome of a Pix whose ask was not counted is left out; a redelivered row counts once.
    """
    asks = _asks(scores)
    words = pa.concat_tables([_decisions(scores)] + ([_outcomes(outcomes)] if outcomes is not None else []))
    words = words.filter(pc.is_in(words["end_to_end_id"], value_set=_array(asks["end_to_end_id"])))
    changes = _ordered(_placed(words))
    for start in range(0, changes.num_rows, CHUNK):
        part = changes.slice(start, CHUNK)
        rows = asks.take(pc.index_in(part["end_to_end_id"], value_set=_array(asks["end_to_end_id"])))
        columns = {name: part[name] for name in CHANGE_COLUMNS} | {name: rows[name] for name in ASK_COLUMNS}
        yield pa.table(columns)


def _asks(scores: pa.Table) -> pa.Table:
    """Return the first counted row of each Pix."""
    rows = scores.select(ASK_COLUMNS).filter(pc.is_valid(scores["history_sequence"]))
    ids = _codes(rows)
    order = np.lexsort((whole(rows["history_sequence"], UNPLACED), whole(rows["scored_at"], 0), ids))
    _, first = np.unique(ids[order], return_index=True)
    return rows.take(pa.array(order[first]))


def _decisions(scores: pa.Table) -> pa.Table:
    """Return the decisions that changed history by themselves."""
    rows = scores.filter(pc.is_valid(scores["decided_sequence"]))
    said = pa.table(
        {
            "end_to_end_id": rows["end_to_end_id"],
            "own": rows["decided_sequence"],
            "decided_side": pc.fill_null(rows["side"].cast(pa.string()), "PAYER"),
            "approved": pc.equal(rows["decision"], "APPROVE"),
            "received_at": rows["scored_at"],
        }
    )
    found = _first(said)
    count = found.num_rows
    return _words(
        found.append_column("at", found["received_at"])
        .append_column("status", pa.array([DECIDED] * count, pa.string()))
        .append_column("return_id", pa.nulls(count))
        .append_column("returned", pa.nulls(count))
    )


def _outcomes(rows: pa.Table) -> pa.Table:
    """Return outcomes, each once: as the first row with a place has it, else as the first one without.

    One whose place is pending is none yet, as in `parts/told.sql`.
    """
    if "place_pending" in rows.column_names:
        rows = rows.filter(pc.invert(pc.fill_null(rows["place_pending"], False)))
    names = {"history_sequence": "own", "amount": "returned"}
    used = ("end_to_end_id", "history_sequence", "status", "at", "return_id", "amount", "received_at")
    said = rows.select(used).rename_columns([names.get(name, name) for name in used])
    said = said.append_column("missing", pc.is_null(said["own"]))
    said = said.sort_by([("missing", "ascending"), ("received_at", "ascending")])
    keys = [name for name in said.column_names if name not in ("own", "received_at", "missing")]
    found = said.group_by(keys, use_threads=False).aggregate([("own", "first"), ("received_at", "first")])
    found = found.rename_columns([name.removesuffix("_first") for name in found.column_names])
    for name in ("decided_side", "approved"):
        found = found.append_column(name, pa.nulls(found.num_rows))
    return _words(found)


def _first(said: pa.Table) -> pa.Table:
    """Return each statement once, as it was first received: a redelivered row says the same again."""
    keys = [name for name in said.column_names if name != "received_at"]
    found = said.group_by(keys, use_threads=False).aggregate([("received_at", "min")])
    return found.select([*keys, "received_at_min"]).rename_columns([*keys, "received_at"])


def _words(rows: pa.Table) -> pa.Table:
    return rows.select(_WORDS.names).cast(_WORDS)


def _placed(words: pa.Table) -> pa.Table:
    """Return statements with their place: an uncounted one stands before the next change of its Pix, if any."""
    ids, own = _codes(words), whole(words["own"], UNPLACED)
    order = np.lexsort((own, _received(words, ids, own != UNPLACED), ids))
    places, rank = np.unique(np.where(own == UNPLACED, _LAST, own), return_inverse=True)
    # Backwards, the keys of the next Pix are lower than all before: there the minimum starts again.
    keys = (ids * len(places) + rank)[order][::-1]
    place = np.empty(len(own), dtype=np.int64)
    if len(own):
        place[order] = places[np.minimum.accumulate(keys)[::-1] % len(places)]
    found = words.append_column("place", pa.array(place)).append_column("counted", pc.is_valid(words["own"]))
    return found.filter(pa.array(place != _LAST))


def _received(words: pa.Table, ids: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return when statements were received, uncounted returns before the settlement, as `changes.sql` has them."""
    status, received = words["status"].to_numpy(zero_copy_only=False), whole(words["received_at"], 0)
    of_decision, approved = status == DECIDED, floats(words["approved"]) == 1
    refused = np.isin(status, REFUSALS) | (of_decision & ~approved)
    settled_at = np.full(ids.max(initial=-1) + 1, _LAST)
    sold = np.flatnonzero(counted & ((status == "SETTLED") | approved))
    np.minimum.at(settled_at, ids[sold], received[sold])
    taken_back = np.isin(ids, ids[counted & approved]) & np.isin(ids, ids[counted & refused])
    early = ~counted & (status == "RETURNED") & ~taken_back
    return np.where(early, np.minimum(received, settled_at[ids] - 1), received)


def _ordered(words: pa.Table) -> pa.Table:
    """Return placed statements in the order of history, and whether another one of the Pix follows."""
    times = (whole(words[name], 0) for name in ("at", "received_at", "counted"))
    order = np.lexsort((*times, whole(words["place"], 0)))
    ids = _codes(words)[order]
    _, backwards = np.unique(ids[::-1], return_index=True)
    more = np.ones(len(ids), dtype=bool)
    more[len(ids) - 1 - backwards] = False
    return words.take(pa.array(order)).append_column("more", pa.array(more))


def _codes(rows: pa.Table) -> NDArray[np.int64]:
    """Return an integer for each Pix [n]."""
    found: NDArray[np.int64] = _array(rows["end_to_end_id"]).dictionary_encode().indices.to_numpy().astype(np.int64)
    return found


def _array(values: Any) -> Any:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
