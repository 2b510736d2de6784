"""Reports counted in the history that the score function shares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import msgspec
import numpy as np

from shared.contract.rows import FeedbackRow
from shared.errors import Malformed, PixError, Unavailable
from shared.features.places import Place
from shared.features.reports import Reports, ReportState, state_of
from shared.features.verdicts import Correction, corrections, facts_of, subjects
from shared.ports.decisions import Lookup, Parties
from shared.ports.history import CONFLICT, UNPLACED, Changes, ChangingHistory

ATTEMPTS = 8
"""Times that a value is read again because another instance changed it meanwhile."""


Places = dict[int, dict[str, list[int]]]
"""The places of the values that rows changed, by the row and by the key of each value."""


class CountedReports(NamedTuple):
    """Rows with the place at which history counted each, and the error of each that it did not take, by index."""

    rows: list[FeedbackRow]
    errors: dict[int, PixError]


class _Task(NamedTuple):
    """A state of a report to add to one value of history; `next` derives the new value."""

    of_row: int
    key: str
    state: ReportState
    next: Callable[[Reports, ReportState], Reports]


class _Change(NamedTuple):
    task: _Task
    before: Reports
    after: Reports
    corrections: list[Correction]


@dataclass(frozen=True, slots=True)
class VerdictHistory:
    """History that the score function shares, and the lookup of the pseudonyms by which it knows a Pix."""

    scored: Lookup
    history: ChangingHistory

    async def count(self, rows: Sequence[FeedbackRow]) -> CountedReports:
        """Count the reports in `rows`.

        A report about an unknown Pix, or a fraud marker from an unknown infraction report, has the error Unavailable:
        it may have come before its subject. Raises Unavailable.
        """
        marked_by = {row.infraction_report_id for row in rows if row.infraction_report_id}
        pix = await self.scored.reported(marked_by) if marked_by else {}
        parties = await self.scored.parties(_judged_ids(rows, pix))
        errors: dict[int, PixError] = {}
        tasks: list[_Task] = []
        for index, row in enumerate(rows):
            try:
                tasks += _tasks(index, row, pix, parties)
            except Unavailable as error:
                errors[index] = error
        keys: dict[int, list[str]] = defaultdict(list)
        for task in tasks:
            keys[task.of_row].append(task.key)
        places = await self._places(tasks, errors)
        counted = [
            _placed(row, [place for key in keys[index] for place in places[index].pop(key, ())])
            if index in places
            else row
            for index, row in enumerate(rows)
        ]
        return CountedReports(counted, errors)

    async def _places(self, tasks: list[_Task], errors: dict[int, PixError]) -> Places:
        """Return the places at which history counted each row, by index; note the errors of the others."""
        places: Places = defaultdict(dict)
        conflicts = 0
        while tasks:
            now, later = _first_rows_of_each_key(tasks)
            values = await self.history.find([task.key for task in now])
            changes, counted = [], list[tuple[_Task, int]]()
            for task, value in zip(now, values, strict=True):
                before = Reports.decode(value)
                known = before.place_of(task.state)
                if known is None:
                    changes += _changed(task, before, errors)
                elif known != UNPLACED:
                    counted.append((task, known))
            visited = await self.history.visited([(task.key, place) for task, place in counted]) if counted else []
            for (task, place), others in zip(counted, visited, strict=True):
                places[task.of_row][task.key] = [place, *others]
            again = await self._change(changes, places)
            conflicts += bool(again)
            if conflicts > ATTEMPTS:
                raise Unavailable("history: reports about one Pix change at the same time")
            tasks = [*again, *later]
        return places

    async def _change(self, changes: Sequence[_Change], places: Places) -> list[_Task]:
        """Make changes and note the places of each; return the tasks whose value another instance has changed."""
        if not changes:
            return []
        found, visited = await self.history.change(_request(changes))
        for change, place, others in zip(changes, found.tolist(), visited, strict=True):
            if place >= 0:
                places[change.task.of_row][change.task.key] = [place, *others]
        return [change.task for change, place in zip(changes, found.tolist(), strict=True) if place == CONFLICT]


def _placed(row: FeedbackRow, places: Sequence[int]) -> FeedbackRow:
    """Return a row with its places, value after value; on a single shard its last one, which the others precede."""
    if len({Place.of(place).shard for place in places}) == 1:
        return msgspec.structs.replace(row, history_sequence=max(places))
    own, *others = places
    return msgspec.structs.replace(row, history_sequence=own, visited=tuple(others))


def _judged_ids(rows: Iterable[FeedbackRow], pix: Mapping[str, Collection[str]]) -> set[str]:
    ids = {id_ for several in pix.values() for id_ in several}
    return ids | {row.end_to_end_id for row in rows if row.end_to_end_id and state_of(row)}


def _tasks(
    index: int, row: FeedbackRow, pix: Mapping[str, Collection[str]], parties: Mapping[str, Parties]
) -> list[_Task]:
    """Return the values of history to which a row adds. Raises Unavailable if its subject is not known."""
    state = state_of(row)
    if state is None:
        return []
    if row.end_to_end_id and row.end_to_end_id not in parties:
        raise Unavailable("a report is about a Pix that is not stored")
    if row.infraction_report_id and row.infraction_report_id not in pix:
        raise Unavailable("a fraud marker follows from a report that is not stored")
    about = pix.get(row.infraction_report_id or "", ()) if row.end_to_end_id is None else {row.end_to_end_id}
    known = {id_: parties[id_] for id_ in about if id_ in parties}
    return [_Task(index, key, state, derive) for key, derive in subjects(row, known)]


def _first_rows_of_each_key(tasks: Sequence[_Task]) -> tuple[list[_Task], list[_Task]]:
    """Return the tasks of rows that share no key with an earlier one, and the others, which read their records.

    The tasks of a row stay together, so that history counts them at adjacent places.
    """
    now: list[_Task] = []
    later: list[_Task] = []
    taken: set[str] = set()
    for _, group in groupby(tasks, key=lambda task: task.of_row):
        of_row = list(group)
        first: dict[str, _Task] = {}
        for task in of_row:
            first.setdefault(task.key, task)
        ready = list(first.values()) if taken.isdisjoint(first) else []
        now += ready
        later += [task for task in of_row if task not in ready]
        taken |= first.keys()
    return now, later


def _changed(task: _Task, before: Reports, errors: dict[int, PixError]) -> list[_Change]:
    try:
        after = task.next(before, task.state)
    except Malformed as error:
        errors[task.of_row] = error
        return []
    return [_Change(task, before, after, corrections(before, after))] if after is not before else []


def _request(changes: Sequence[_Change]) -> Changes:
    found = [each for change in changes for each in change.corrections]
    return Changes(
        keys=[change.task.key for change in changes],
        expected=[change.before.version for change in changes],
        values=[change.after.encode() for change in changes],
        place_at=[change.after.place_at if change.corrections else -1 for change in changes],
        facts=facts_of(found),
        of=np.repeat(np.arange(len(changes)), [len(change.corrections) for change in changes]),
    )
