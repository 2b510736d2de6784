"""The place of reports among transactions."""

import numpy as np

from shared.contract.fields import Verdict
from shared.features.facts import VerdictCount
from shared.features.verdicts import ReportedVerdict
from shared.ports import Parties
from shared.replay.reports import Reported, ReportQueue
from tests.unit.streams import ACCOUNTS


def test_reports_without_a_place_count_by_time_of_receipt() -> None:
    parties = Parties(ACCOUNTS[0], ACCOUNTS[1], None)
    queue = ReportQueue(
        Reported(f"E{i}", parties, ReportedVerdict(Verdict.FRAUD, i), received_at=i * 10) for i in (3, 1, 2)
    )
    unplaced = np.full(3, -1)
    assert queue.before(unplaced, np.array([5, 15, 12])) == ([VerdictCount(*parties, 1, True)], [1])
    due, places = queue.before(unplaced, np.array([14, 25, 31]))
    assert ([each.reported_at for each in due], places) == ([2, 3], [1, 2])
    assert queue.rest(0) == ([], [])
