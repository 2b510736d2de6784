"""Reports and the corrections that they made, each at its place on a shard of history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from shared.contract.rows import FeedbackRow
from shared.features.places import Place
from shared.features.reports import UNPLACED, state_of
from shared.features.shards import NOWHERE, Shard, home_of, shards_of
from shared.features.verdicts import Correction, Subject, VerdictLog, facts_of, subjects
from shared.ports.decisions import Parties

_LAST = np.iinfo(np.int64).max


class Reported(NamedTuple):
    """A row of `pix.feedback`, with the parties of each known Pix that it is about, by EndToEndId.

    The row's `history_sequence` is its place; without one, `received_at` decides the order.
    """

    row: FeedbackRow
    parties: Mapping[str, Parties]

    @property
    def place(self) -> int:
        """Return the place at which history counted the report, or UNPLACED."""
        return UNPLACED if self.row.history_sequence is None else self.row.history_sequence

    @property
    def places(self) -> list[int]:
        """Return all places that the values of the report may have; none if it has none."""
        return self.places_of(len(subjects(self.row, self.parties)))

    def places_of(self, changed: int) -> list[int]:
        """Return the places of the values that it changed, value after value, if it has any.

        A row that names one place has the last of as many as values: they follow each other.
        """
        if self.place == UNPLACED:
            return []
        if self.row.visited:
            return [self.place, *self.row.visited]
        return [self.place - step for step in reversed(range(max(1, changed)))]


class CountedReport(NamedTuple):
    """Corrections by a report, and the place on a shard at which they count."""

    place: int
    corrections: list[Correction]


class _Told(NamedTuple):
    """A value that a report changed: its number among those of the report, its home, the place there, corrections."""

    number: int
    home: int
    turn: int
    corrections: list[Correction]


def counted(reports: Sequence[Reported], log: VerdictLog, shard: Shard) -> list[CountedReport]:
    """Tell a log of reports, in the order in which they were received; return their corrections on a shard, by place.

    Each value changes in the order of its own home. A report without a place there changed nothing when it came, but
    it may weigh on a later one: it stands before the first one with a place that was received later.
    """
    told: list[list[_Told]] = [[] for _ in reports]
    for home in Shard.each(shard.shards):
        for i, turn, number, subject in _in_order(reports, home):
            state = state_of(reports[i].row)
            if state and (found := log.add(subject, state, turn)):
                told[i].append(_Told(number, home.number, turn, found))
    every = [each for i, changed in enumerate(told) for each in _on(shard, reports[i], sorted(changed))]
    return sorted(every, key=lambda each: each.place)


def _in_order(reports: Sequence[Reported], home: Shard) -> Iterator[tuple[int, int, int, Subject]]:
    """Yield the index of each report about values of a home, its place there, and the number and value of each."""
    about = {i: found for i, each in enumerate(reports) if (found := _subjects(each, home))}
    at = {i: max(home.places([reports[i].place, *reports[i].row.visited]), default=UNPLACED) for i in about}
    placed = sorted((i for i in about if at[i] != UNPLACED), key=at.__getitem__)
    unplaced = [i for i in about if at[i] == UNPLACED]
    received = np.maximum.accumulate([reports[i].row.received_at for i in placed]) if placed else np.empty(0)
    ranks = np.searchsorted(received, [reports[i].row.received_at for i in unplaced], side="left").tolist()
    turns = [*(at[i] for i in placed), _LAST]
    queued = [(rank, 0, i) for rank, i in zip(ranks, unplaced, strict=True)]
    queued += [(rank, 1, i) for rank, i in enumerate(placed)]
    for rank, _, i in sorted(queued, key=lambda one: one[:2]):
        for number, subject in about[i].items():
            yield i, turns[rank], number, subject


def _subjects(reported: Reported, home: Shard) -> dict[int, Subject]:
    """Return the values of a home that a report is about, by their numbers among all of the report's."""
    every = subjects(reported.row, reported.parties)
    homes = home_of((each.key[1:] for each in every), home.shards).tolist()
    return {number: each for number, each in enumerate(every) if homes[number] == home.number}


def _on(shard: Shard, reported: Reported, changed: Sequence[_Told]) -> Iterator[CountedReport]:
    """Yield the corrections of the values that a report changed at their places on a shard."""
    if shard.is_only:
        yield from (CountedReport(each.turn, each.corrections) for each in changed)
        return
    left = reported.places_of(len(changed))
    last = {Place.of(place).shard: place for place in sorted(left)}
    for each in changed:
        of = shards_of(facts_of(each.corrections), shard.shards)
        wanted = {each.home, *np.unique(of[of != NOWHERE]).tolist()}
        own = {Place.of(place).shard: place for place in left[: len(wanted)]}
        if own.keys() == wanted:
            left = left[len(wanted) :]
        else:  # the row names one place for several values, or it was stored again when some were forgotten
            own = last
        if shard.number in own:
            yield CountedReport(own[shard.number], each.corrections)
