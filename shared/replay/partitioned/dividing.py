"""Facts of a time slice divided among the partitions of history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.features.facts import EXTRAS, PLACES, Facts
from shared.features.keys import Keys
from shared.features.layout import CONTACT, MARKS, ROLES, WEIGHTS, Role
from shared.features.shards import NOWHERE, masked, shard_of, shards_of
from shared.replay.recurrence import NO_SLOT, Chunk, Ordered, in_order

Arrays = Mapping[str, NDArray[Any]]

CONTACTS = tuple(place for place, role in enumerate(ROLES) if role.layout is CONTACT)
"""The columns of the contacts, which are in the partition of their payer."""
OF_PAYER = (PLACES["payer"], *CONTACTS)
"""The columns of the records that are in the partition of the payer, from whose reads EXTRAS follow."""


class Fed(NamedTuple):
    """A role that takes EXTRAS from the partition of the payer: its column of keys, and the columns of EXTRAS."""

    role: int
    extras: tuple[int, ...]


def _extras_of(role: Role) -> tuple[int, ...]:
    """Return the columns of EXTRAS that the record of a role counts."""
    first = WEIGHTS.index(EXTRAS[0])
    weights = {column - first for column in role.layout.weight_columns(role.counts_as).tolist()}
    new = {0} if MARKS.index("at_if_new") in role.layout.mark_columns(role.counts_as) else set()
    return tuple(sorted((weights | new) & set(range(len(EXTRAS)))))


FED = tuple(
    Fed(place, extras) for place, role in enumerate(ROLES) if place not in OF_PAYER and (extras := _extras_of(role))
)


class PartitionFacts(NamedTuple):
    """Facts [m] of a time slice that name a record of one partition, in their order; other keys are 0."""

    facts: Facts
    payers: Keys
    """[m], also those of other partitions."""
    place: NDArray[np.int64]
    """[m], the number in the slice of the event of an ask, NO_SLOT for other facts."""
    slot: NDArray[np.int64]
    """[m], the number of the event whose EXTRAS an ask leaves or a settlement takes, NO_SLOT for none."""
    to: NDArray[np.int64]
    """[m, len(FED)], the other partition that takes the EXTRAS of a settlement from this one, NOWHERE for none."""

    def arrays(self) -> Arrays:
        """Return arrays to store, without the columns that are blank: asks and other facts differ in those."""
        found: dict[str, NDArray[Any]] = {"payers": self.payers, "place": self.place, "slot": self.slot}
        found |= {"at": self.facts.at, "to": self.to.astype(np.int16)}
        for name, rows in _kinds(self.place):
            for matrix, blank in _BLANKS.items():
                values = getattr(self.facts, matrix)[rows]
                used = np.flatnonzero((values != blank).any(axis=0))
                found[f"{name}_{matrix}"], found[f"{name}_{matrix}_columns"] = values[:, used], used
        return found

    @classmethod
    def of(cls, arrays: Arrays) -> PartitionFacts:
        """Return the facts in stored arrays."""
        at, place = arrays["at"], arrays["place"]
        facts = Facts.blank(at)
        for name, rows in _kinds(place):
            for matrix, blank in _BLANKS.items():
                values = np.full((len(rows), getattr(facts, matrix).shape[1]), blank, getattr(facts, matrix).dtype)
                values[:, arrays[f"{name}_{matrix}_columns"]] = arrays[f"{name}_{matrix}"]
                getattr(facts, matrix)[rows] = values
        return cls(facts, arrays["payers"], place, arrays["slot"], arrays["to"].astype(np.int64))


_BLANKS: Mapping[str, Any] = {"keys": np.uint64(0), "weights": 0.0, "marks": -np.inf}
"""The value of each matrix of Facts that names, adds or raises nothing."""


def _kinds(place: NDArray[np.int64]) -> list[tuple[str, NDArray[np.intp]]]:
    return [("asked", np.flatnonzero(place >= 0)), ("other", np.flatnonzero(place < 0))]


def numbered(chunk: Chunk, start: int) -> Ordered:
    """Return the facts of a chunk in one order; its events have the numbers from `start` in the slice."""
    ordered = in_order(chunk)
    return ordered._replace(place=_moved(ordered.place, start), slot=_moved(ordered.slot, start - chunk.first))


def joined(parts: Sequence[Ordered]) -> Ordered:
    """Return facts of successive chunks as those of one slice."""
    facts = Facts.joined([each.facts for each in parts])
    return Ordered(
        facts, *(np.concatenate([getattr(each, name) for each in parts]) for name in ("payers", "place", "slot"))
    )


def homes_of(ordered: Ordered, events: int, partitions: int) -> NDArray[np.int64]:
    """Return the partition [events] of each payer, which computes the EXTRAS of an ask; NOWHERE without a payer."""
    found, asked = np.full(events, NOWHERE), np.flatnonzero(ordered.place >= 0)
    found[ordered.place[asked]] = shard_of(ordered.facts.keys[asked, PLACES["payer"]], partitions)
    return found


def divided(ordered: Ordered, partitions: int) -> list[PartitionFacts]:
    """Return the facts of each partition."""
    of = shards_of(ordered.facts, partitions)
    home, takes = of[:, PLACES["payer"]], (ordered.place < 0) & (ordered.slot >= 0)
    to = np.stack([np.where(takes & (of[:, fed.role] != home), of[:, fed.role], NOWHERE) for fed in FED], axis=1)
    found = []
    for number in range(partitions):
        rows = np.flatnonzero((of == number).any(axis=1))
        own = np.where((home[rows] == number)[:, None], to[rows], NOWHERE)
        facts = masked(ordered.facts[rows], of[rows], number)
        found.append(PartitionFacts(facts, ordered.payers[rows], ordered.place[rows], ordered.slot[rows], own))
    return found


def _moved(numbers: NDArray[np.int64], start: int) -> NDArray[np.int64]:
    return np.where(numbers < 0, NO_SLOT, numbers + start)
