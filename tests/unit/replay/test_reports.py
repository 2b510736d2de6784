"""The place of reports among transactions, and their order among themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.memory.serving import MemoryLookup
from shared.contract.rows import FeedbackRow
from shared.features.facts import VerdictCount
from shared.features.history import MemoryHistory
from shared.features.reports import Reports
from shared.features.verdicts import facts_of, marker_key, pix_key, recovery_key
from shared.ports.decisions import Parties
from shared.replay.reported import Reported
from shared.replay.reports import ReportQueue
from shared.serving.verdict_history import VerdictHistory
from tests.unit.report_states import PIX, med, messages, row
from tests.unit.streams import ACCOUNTS

PARTIES = Parties(ACCOUNTS[0], ACCOUNTS[1], None)
RECOVERIES = [recovery_key(name, PARTIES.payee_id) for name in ("one", "two")]
KEYS = [pix_key(PIX), marker_key("f-1"), marker_key("f-2"), *RECOVERIES]


def reported(message: dict[str, Any], received_at: int, place: int | None = None) -> Reported:
    known = msgspec.structs.replace(row(message), received_at=received_at, history_sequence=place)
    return Reported(known, {PIX: PARTIES})


def served(reports: Sequence[dict[str, Any]]) -> tuple[MemoryHistoryAdapter, list[FeedbackRow]]:
    """Count reports one by one, as the label function does; return history and the rows."""
    history, lookup = MemoryHistoryAdapter(), MemoryLookup()
    lookup.known[PIX] = PARTIES
    lookup.reports = {"m-1": frozenset({PIX}), "m-2": frozenset({PIX})}
    rows: list[FeedbackRow] = []
    for received_at, message in enumerate(reports):
        one = msgspec.structs.replace(row(message), received_at=received_at)
        rows += asyncio.run(VerdictHistory(lookup, history).count([one])).rows
    return history, rows


def test_reports_without_a_place_count_by_time_of_receipt() -> None:
    queue = ReportQueue(Reported(reported(med("AGREED", i), i * 10).row, {f"E{i}": PARTIES}) for i in (3, 1, 2))
    unplaced = np.full(3, -1)
    (first,), places, _ = queue.before(unplaced, np.array([5, 15, 12]))
    assert isinstance(first, VerdictCount)
    assert (first.reported_at, first.fraud, first.sign, places) == (row(med("AGREED", 1)).reported_at, True, 1, [1])
    due, places, _ = queue.before(unplaced, np.array([14, 25, 31]))
    assert [each.reported_at for each in due] == [row(med("AGREED", i)).reported_at for i in (2, 3)]
    assert places == [1, 2]
    assert queue.rest(0) == ([], [], [])


def test_a_report_that_changed_nothing_weighs_on_the_next_one() -> None:
    """An open report that was known before the other was cancelled: the verdict is then PENDING."""
    reports = [
        reported(med("AGREED", 0), 0, 1),
        reported(med("OPEN", 1, "m-2"), 1),
        reported(med("CANCELLED", 2), 2, 3),
    ]
    queue = ReportQueue(reports)
    counted, indexes, _ = queue.before(np.array([2, 4]), np.zeros(2, dtype=np.int64))
    assert ([each.sign for each in counted], indexes) == ([1, -1], [0, 1])


@given(st.lists(messages, max_size=8), st.integers(1, 4))
def test_a_replay_of_the_rows_repeats_what_history_counted(reports: list[dict[str, Any]], step: int) -> None:
    history, rows = served(reports)
    queue, replayed = ReportQueue([Reported(each, {PIX: PARTIES}) for each in rows]), MemoryHistory()
    for start in range(1, history.history.sequence + 1, step):
        places = np.arange(start, start + step)
        replayed.count(facts_of(queue.before(places, np.zeros(step, dtype=np.int64))[0]))
        queue.resume(msgspec.json.decode(msgspec.json.encode(queue.note())))
    replayed.count(facts_of(queue.rest(0)[0]))
    stored = [Reports.decode(value) for value in asyncio.run(history.find(KEYS))]
    rebuilt = [queue.verdicts.values.get(key, Reports()) for key in KEYS]
    # The row of a report that changes two values has only the last of its places.
    assert [each._replace(places=()) for each in rebuilt] == [each._replace(places=()) for each in stored]
    for ours, theirs in zip(history.history.state().tables, replayed.state().tables, strict=True):
        assert sorted(ours.keys.tolist()) == sorted(theirs.keys.tolist())
        one, other = (records.records[np.argsort(records.keys)] for records in (ours, theirs))
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)  # a batch adds in another order


def test_reports_that_were_counted_before_are_skipped() -> None:
    queue = ReportQueue([reported(med("AGREED", 0), 0, 1), reported(med("CANCELLED", 2), 2, 5)])
    queue.skip(3)
    counted = queue.rest(0).corrections
    assert [each.sign for each in counted] == [-1, 1]


def test_a_report_that_changes_several_values_has_as_many_places() -> None:
    queue = ReportQueue(
        [reported(med("AGREED", 0), 0, 3), reported(med("AGREED", 0, "m-2", funds_recovery_id="f"), 1, 6)]
    )
    assert queue.places(1, 9).tolist() == [3, 5, 6]
    assert queue.places(3, 9).tolist() == [5, 6]
