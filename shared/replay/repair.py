"""Repair the store of history by itself: fill one that is empty, and note the changes that one has lost.

A store that was emptied counts nothing until it is filled. The state is that of the newest snapshot and of the rows
after it. Decisions go on meanwhile, degraded: their rows have no place, and get one later (`filling`). A shard that
was emptied alone is filled alone, and only Pix that have a record there are degraded. A replica that took over may
lack the last changes: their places are noted as lost, so that their rows get new ones.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from msgspec import Struct

from shared.errors import Unavailable
from shared.features.places import Epoch
from shared.ports.history import HistoryStore
from shared.ports.places import LostPlaces
from shared.replay.continuation import Advance, Continued, continued, start_of
from shared.replay.holding import held
from shared.replay.mark import CountedPlaces
from shared.replay.snapshots import Snapshots
from shared.replay.tables import WHOLE, StoredTables

_ATTEMPTS = 5


class Rebuilt(Struct, frozen=True):
    """A store that was filled: the snapshots that it began with, transactions after them, records and claims."""

    snapshots: tuple[str, ...]
    transactions: int
    records: int
    claims: int


@dataclass(frozen=True, slots=True)
class Repair:
    """The services of a repair."""

    store: HistoryStore
    tables: Sequence[StoredTables]
    """The tables as each shard of the store counted their rows."""
    snapshots: Snapshots
    lost: LostPlaces
    now: Callable[[], dt.datetime]
    wait: Callable[[], None]
    """Wait until the rows that were on their way when the store was lost are stored."""
    claim_seconds: int
    """Seconds for which a stored row is claimed, so that no redelivery decides it again."""

    def rebuild(self, advance: Advance) -> Rebuilt | None:
        """Fill the shards of the store that are empty, and open them; None if none was.

        Raises PreconditionFailed if another job fills it, or it was emptied once more, Unavailable, Misconfigured.
        """
        emptied = [each for each in self.store.each() if each.is_empty()]
        if not emptied:
            return None
        names, transactions, loaded = [], 0, _Loaded(advance)
        with ExitStack() as after:
            for each in emptied:
                after.enter_context(held(each))
            self.wait()
            claims = self.tables[0].scored_since(self.now() - dt.timedelta(seconds=self.claim_seconds))
            for each in emptied:
                name, found = self._history(self.tables[each.shard.number], advance)
                each.mark_stored(claims, self.claim_seconds)
                each.load(found.state, found.values, loaded.add)
                names += [name] if name else []
                transactions += found.transactions
        return Rebuilt(tuple(names), transactions, loaded.records, len(claims))

    def note_lost(self) -> list[Epoch]:
        """Note the end of each former epoch of the store, unless it is known; return those noted now.

        Rows with a later place of such an epoch may still come. Raises Unavailable, Misconfigured.
        """
        known = self.lost.noted()
        fresh = [each for each in self.store.epochs() if each.kept < known.get(each.part, each.kept + 1)]
        if fresh:
            self.lost.note(fresh)
        return fresh

    def _history(self, tables: StoredTables, advance: Advance) -> tuple[str | None, Continued]:
        """Return the name of a snapshot and a shard of history by it and the rows after it.

        Once more if a row came meanwhile: it may belong before others. Raises Unavailable if that does not end.
        """
        places = CountedPlaces(tables)
        for _ in range(_ATTEMPTS):
            before = places.tally(WHOLE.until)
            start = start_of(self.snapshots, self.snapshots.listing().snapshots, places)
            found = continued(tables, start.state, advance)
            if places.tally(WHOLE.until) == before:
                return start.name, found
        raise Unavailable("rows of before the loss of the store still come")


class _Loaded:
    """The number of records and values that are loaded."""

    def __init__(self, advance: Advance) -> None:
        self.records = 0
        self._advance = advance

    def add(self, count: int) -> None:
        """Add a part that is stored."""
        self.records += count
        self._advance("load", self.records)
