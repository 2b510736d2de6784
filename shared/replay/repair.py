"""Repair the store of history by itself: fill one that is empty, and note the changes that one has lost.

A store that was emptied counts nothing until it is filled. The state is that of the newest snapshot and of the rows
after it. Decisions go on meanwhile, degraded: their rows have no place, and get one later (`filling`). A replica that
took over may lack the last changes: their places are noted as lost, so that their rows get new ones.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import Struct

from shared.errors import Unavailable
from shared.features.places import Epoch
from shared.ports import HistoryStore, LostPlaces
from shared.replay.continuation import Advance, Continued, continued, start_of
from shared.replay.holding import held
from shared.replay.mark import CountedPlaces
from shared.replay.snapshots import Snapshots
from shared.replay.tables import WHOLE, StoredTables

_ATTEMPTS = 5


class Rebuilt(Struct, frozen=True):
    """A store that was filled: the snapshot that it began with, if any, transactions after it, records and claims."""

    snapshot: str | None
    transactions: int
    records: int
    claims: int


@dataclass(frozen=True, slots=True)
class Repair:
    """The services of a repair."""

    store: HistoryStore
    tables: StoredTables
    snapshots: Snapshots
    lost: LostPlaces
    now: Callable[[], dt.datetime]
    wait: Callable[[], None]
    """Wait until the rows that were on their way when the store was lost are stored."""
    claim_seconds: int
    """Seconds for which a stored row is claimed, so that no redelivery decides it again."""

    def rebuild(self, advance: Advance) -> Rebuilt | None:
        """Fill the store if it is empty, and open it; None if it was not.

        Raises PreconditionFailed if another job fills it, or it was emptied once more, Unavailable, Misconfigured.
        """
        if not self.store.is_empty():
            return None
        with held(self.store):
            self.wait()
            name, found = self._history(advance)
            claims = self.tables.scored_since(self.now() - dt.timedelta(seconds=self.claim_seconds))
            self.store.mark_stored(claims, self.claim_seconds)
            records = _loaded(self.store, found, advance)
        return Rebuilt(name, found.transactions, records, len(claims))

    def note_lost(self) -> list[Epoch]:
        """Note the end of each former epoch of the store, unless it is known; return those noted now.

        Rows with a later place of such an epoch may still come. Raises Unavailable, Misconfigured.
        """
        known = self.lost.noted()
        fresh = [each for each in self.store.epochs() if each.kept < known.get(each.part, each.kept + 1)]
        if fresh:
            self.lost.note(fresh)
        return fresh

    def _history(self, advance: Advance) -> tuple[str | None, Continued]:
        """Return the name of a snapshot and history by it and the rows after it.

        Once more if a row came meanwhile: it may belong before others. Raises Unavailable if that does not end.
        """
        places = CountedPlaces(self.tables)
        for _ in range(_ATTEMPTS):
            before = places.tally(WHOLE.until)
            start = start_of(self.snapshots, self.snapshots.listing().snapshots, places)
            found = continued(self.tables, start.state, advance)
            if places.tally(WHOLE.until) == before:
                return start.name, found
        raise Unavailable("rows of before the loss of the store still come")


def _loaded(store: HistoryStore, found: Continued, advance: Advance) -> int:
    """Fill the store, and return the number of records and values."""
    done = 0

    def add(count: int) -> None:
        nonlocal done
        done += count
        advance("load", done)

    store.load(found.state, found.values, add)
    return done
