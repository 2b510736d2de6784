"""History up to a place, from the newest snapshot that still holds and the rows after it."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from shared.errors import Misconfigured
from shared.features.state import LAYOUT_ID, State
from shared.replay.mark import CountedPlaces, Patience, mark_of
from shared.replay.run import ReplayRun, Sinks
from shared.replay.snapshots import Snapshot, SnapshotRetention, Snapshots
from shared.replay.tables import WHOLE, StoredTables, Stretch
from shared.scoring.rules import Rules

log = logging.getLogger(__name__)

Advance = Callable[[str, int], None]
"""Receives the name of a step, and the number of its rows or records that are done."""


class Start(NamedTuple):
    """The state that a replay begins in, and the snapshot that holds it; None: before the first change."""

    state: State
    snapshot: Snapshot | None

    @property
    def name(self) -> str | None:
        """Return the name of the snapshot."""
        return self.snapshot.name if self.snapshot else None


class Continued(NamedTuple):
    """A shard of history at a place: its records, the values of all reports by their keys, transactions replayed."""

    state: State
    values: Mapping[str, bytes]
    transactions: int


class Taken(NamedTuple):
    """A snapshot that was written, None if no place followed the last one; its start, rows and missing places."""

    snapshot: Snapshot | None
    start: str | None
    transactions: int
    missing: int


def start_of(snapshots: Snapshots, listed: Sequence[Snapshot], places: CountedPlaces) -> Start:
    """Return the first listed snapshot with the shard, key and changes of some tables. Raises PixError.

    A row that came late, was erased, or is told to be lost, makes the snapshots after its place unusable.
    """
    wanted = (LAYOUT_ID, places.tables.shard, places.tables.hmac_key)
    for each in listed:
        if (each.layout, each.shard, each.hmac_key) == wanted and places.tally(each.place) == each.tally:
            try:
                return Start(snapshots.load(each), each)
            except Misconfigured as error:
                log.warning("snapshot refused", extra={"fields": {"name": each.name, "reason": str(error)}})
    return Start(State.empty(), None)


def continued(tables: StoredTables, start: State, advance: Advance, until: int = WHOLE.until) -> Continued:
    """Replay the rows after a state, up to a place. Raises Unavailable, Misconfigured."""
    run, stretch = uuid.uuid4().hex, Stretch(start.sequence, until)
    with TemporaryDirectory(prefix="replay-") as folder:
        try:
            tables.stage(run, True, stretch)
            source = tables.source(run, Path(folder), True, stretch)
            replay = ReplayRun(source, Sinks(None, None, None), Rules.load(), 0, start)
            replay.run(lambda _: advance("replay", replay.transactions))
        finally:
            tables.clear(run)
    return Continued(replay.state(), source.verdicts.encoded(), replay.transactions)


def take(
    snapshots: Snapshots,
    tables: StoredTables,
    patience: Patience,
    retention: SnapshotRetention,
    now: dt.datetime,
    advance: Advance,
) -> Taken:
    """Write a snapshot of a shard at the last place before which nothing is missing, and list it in the pointer.

    Raises PreconditionFailed if another job listed one meanwhile, Unavailable, Misconfigured.
    """
    places = CountedPlaces(tables)
    before = snapshots.listing()
    start = start_of(snapshots, before.snapshots, places)
    mark = mark_of(places.after(start.state.sequence), start.state.sequence, patience, now)
    if mark.place == start.state.sequence:
        return Taken(None, start.name, 0, mark.missing)
    tally = places.tally(mark.place)  # before the rows are read: one that comes in between makes it differ later
    found = continued(tables, start.state, advance, mark.place)
    written = _summed("write", advance)
    saved = snapshots.save(found.state, tally, now, written, tables.shard, tables.hmac_key)
    snapshots.publish(saved, before, retention)
    return Taken(saved, start.name, found.transactions, mark.missing)


def _summed(step: str, advance: Advance) -> Callable[[int], None]:
    """Return the function to tell the records of each part of a step."""
    done = 0

    def add(count: int) -> None:
        nonlocal done
        done += count
        advance(step, done)

    return add
