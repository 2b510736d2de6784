"""In-memory twins for operators: a store of history as a whole, overdue holds, and dead letters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

from shared.contract.decision import Decided
from shared.contract.event import micros
from shared.errors import Misconfigured, PreconditionFailed, Unavailable
from shared.features.keys import Keys
from shared.features.layout import CONTACT, LAYOUTS
from shared.features.places import Epoch, Place
from shared.features.shards import ONLY, Shard
from shared.features.state import State
from shared.features.verdicts import pix_key
from shared.ports.messages import REDRIVEN, DeadLetter


class MemoryHistoryStore:
    """`shared.ports.history.HistoryStore` over dicts; `away` makes it unavailable.

    `records` are keys by kind, `reports` the values of Pix and fraud markers by their keys, `claims` the seconds of
    each claim by EndToEndId and side. `sequence` is None until the store is loaded; `held_elsewhere` says that
    another job fills it.
    """

    def __init__(self) -> None:
        self.records: dict[str, set[int]] = {layout.kind: set() for layout in LAYOUTS}
        self.reports: dict[str, bytes] = {}
        self.claims: dict[tuple[str, str], int] = {}
        self.sequence: int | None = None
        self.former: list[Epoch] = []
        self.held_elsewhere = False
        self.away = False

    @property
    def shard(self) -> Shard:
        """Return the only shard."""
        return ONLY

    def each(self) -> list[Self]:
        """Return this store."""
        return [self]

    def is_empty(self) -> bool:
        """Return whether the store was never loaded. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the store of history is away")
        return self.sequence is None

    def hold(self) -> None:
        """Raise Misconfigured if the store was loaded, PreconditionFailed if `held_elsewhere`, Unavailable."""
        if not self.is_empty():
            raise Misconfigured("the store of history has counted transactions already")
        if self.held_elsewhere:
            raise PreconditionFailed("another job fills the store of history")

    def load(self, state: State, values: Mapping[str, bytes], advance: Callable[[int], None]) -> None:
        """Keep the keys of all records, and the reports. Raises as `hold`."""
        self.hold()
        for layout, table in zip(LAYOUTS, state.tables, strict=True):
            self.records[layout.kind] |= {int(key) for key in table.keys}
            advance(len(table.keys))
        self.reports |= values
        advance(len(values))
        self.sequence = state.sequence
        if state.sequence:
            self.former.append(Epoch(*Place.of(state.sequence)))

    def mark_stored(self, rows: Iterable[tuple[str, str]], life_seconds: int) -> None:
        """Claim Pix whose rows are stored. Raises as `hold`."""
        self.hold()
        self.claims |= dict.fromkeys(rows, life_seconds)

    def epochs(self) -> list[Epoch]:
        """Return the former epochs. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the store of history is away")
        return list(self.former)

    def erase(self, records: Mapping[str, Keys], payers: Keys, end_to_end_ids: Iterable[str]) -> int:
        """Erase records and the reports of Pix; return the number erased.

        Raises Unavailable while away, Misconfigured for contacts without payers.
        """
        if len(payers) != len(records.get(CONTACT.kind, ())):
            raise Misconfigured("each contact to erase has a payer")
        if self.away:
            raise Unavailable("the store of history is away")
        erased = 0
        for kind, keys in records.items():
            found = self.records[kind] & {int(key) for key in keys}
            self.records[kind] -= found
            erased += len(found)
        return erased + sum(self.reports.pop(pix_key(id_), None) is not None for id_ in end_to_end_ids)


class MemoryLostPlaces:
    """`shared.ports.places.LostPlaces` over a dict."""

    def __init__(self) -> None:
        self.kept: dict[int, int] = {}

    def noted(self) -> Mapping[int, int]:
        """Return the number of the last kept change by `Epoch.part`."""
        return dict(self.kept)

    def note(self, epochs: Sequence[Epoch]) -> None:
        """Note epochs."""
        for each in epochs:
            self.kept[each.part] = min(each.kept, self.kept.get(each.part, each.kept))


class MemoryDeadLetters:
    """`shared.ports.messages.DeadLetters` over lists; `away` makes publishing fail.

    `waiting` can be pulled, `leased` were pulled and not yet released, `published` are the redriven letters.
    """

    def __init__(self, letters: Iterable[DeadLetter] = ()) -> None:
        self.waiting = list(letters)
        self.leased: list[DeadLetter] = []
        self.published: list[DeadLetter] = []
        self.away = False

    def pull(self, limit: int, seconds: float) -> list[DeadLetter]:  # noqa: ARG002 (memory never waits)
        """Lease up to `limit` letters."""
        pulled, self.waiting = self.waiting[:limit], self.waiting[limit:]
        self.leased += pulled
        return pulled

    def redrive(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Publish letters with one more redrive each; return those that could not be published."""
        if self.away:
            return list(letters)
        for letter in letters:
            self.leased.remove(letter)
            attributes = {**letter.attributes, REDRIVEN: str(letter.redriven + 1)}
            self.published.append(letter._replace(attributes=attributes))
        return []

    def release(self, letters: Sequence[DeadLetter]) -> None:
        """Return letters to those that can be pulled."""
        for letter in letters:
            self.leased.remove(letter)
            self.waiting.append(letter)


class MemoryHolds:
    """`shared.ports.decisions.OverdueHolds` over decisions; `ended` are the EndToEndIds of ended ones."""

    def __init__(self, decided: Sequence[Decided]) -> None:
        self._decided = decided
        self.ended: set[str] = set()

    async def overdue(self, since: dt.datetime, until: dt.datetime) -> Sequence[Decided]:
        """Return those whose deadline has passed."""
        passed = range(micros(since) + 1, micros(until) + 1)
        return [each for each in self._decided if each.hold_until in passed and each.end_to_end_id not in self.ended]
