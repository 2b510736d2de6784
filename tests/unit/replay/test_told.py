"""Changes of history from rows in memory are those that happened."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shared.contract.tables import table
from shared.replay.arrow_columns import floats
from shared.replay.arrow_rows import arrow_table
from shared.replay.changes import ASK_COLUMNS, CHANGE_COLUMNS, ChangeQueue
from shared.replay.told import changes_of
from tests.unit.replay.test_audit import serve
from tests.unit.served import Served, Told, received_late


def outcomes_of(served: Served) -> pa.Table:
    """Return the rows of `outcomes`: each as it came late, as it was counted, and as a redelivery."""
    pending = {"history_sequence": None, "place_pending": True}
    late = [msgspec.structs.replace(row, received_at=0, **pending) for row in served.outcomes]
    again = [msgspec.structs.replace(row, received_at=row.received_at + 1) for row in served.outcomes]
    return arrow_table(table("outcomes"), [*late, *served.outcomes, *again])


@pytest.mark.parametrize("setting", ["assumed", "published"])
def test_changes_of_rows_are_those_that_happened(setting: str) -> None:
    early = [Told(8, i, "RETURNED", share=0.3) for i in range(4)] + [Told(9, i, "SETTLED", i) for i in range(6)]
    late = [Told(30, 2, "RELEASED"), Told(31, 2, "BLOCKED"), Told(39, 7, "REJECTED"), Told(39, 7, "SETTLED")]
    served = serve(40, outcomes=[*early, *late], decisions="APPROVE HOLD", setting=setting)
    scores = pa.concat_tables([served.table(), served.table().slice(7, 9)])
    found, expected = pa.concat_tables(changes_of(scores, outcomes_of(served))), served.changes()
    assert set(expected["counted"].to_pylist()) == {True, False}
    names = [name for name in (*CHANGE_COLUMNS, *ASK_COLUMNS) if name != "returned"]
    assert found.select(names).to_pylist() == expected.select(names).to_pylist()
    given, returned = (np.rint(100 * np.nan_to_num(floats(each["returned"]))) for each in (found, expected))
    np.testing.assert_array_equal(given, returned)
    one, other = ChangeQueue([found]).rest(), ChangeQueue([expected]).rest()
    np.testing.assert_array_equal(one.facts.weights, other.facts.weights)


@pytest.mark.parametrize("setting", ["assumed", "published"])
def test_early_returns_that_were_received_late_weigh_on_the_same_changes(setting: str) -> None:
    early = [Told(8, i, "RETURNED", share=0.3) for i in range(4)]
    late = [Told(9, i, "SETTLED", i) for i in range(6)]
    served = serve(40, outcomes=[*early, *late], decisions="HOLD", setting=setting)
    rows = [received_late(row) for row in served.outcomes]
    found = pa.concat_tables(changes_of(served.table(), arrow_table(table("outcomes"), rows)))
    one, other = ChangeQueue([found]).rest(), ChangeQueue([served.changes()]).rest()
    assert len(other.facts) > 0
    np.testing.assert_array_equal(one.facts.keys, other.facts.keys)
    np.testing.assert_array_equal(one.facts.weights, other.facts.weights)


def test_outcomes_of_pix_that_were_not_counted_are_left_out() -> None:
    served = serve(6, outcomes=[Told(5, 1, "SETTLED")], setting="published")
    rows = [row for row in served.rows if row.event.end_to_end_id != served.outcomes[0].end_to_end_id]
    assert list(changes_of(arrow_table(table("score_events"), rows), outcomes_of(served))) == []
