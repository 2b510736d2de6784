"""Files of rows are a source of the Pix, outcomes and reports that they tell of."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from shared.contract.rows import FeedbackRow, Record
from shared.contract.tables import table
from shared.replay.arrow_rows import arrow_table
from shared.replay.parquet import Files
from shared.replay.sources import StoredRows
from tests.unit.replay.test_audit import serve
from tests.unit.report_states import RETURN, med, row
from tests.unit.served import Told


def source(folder: Path, reports: Sequence[FeedbackRow], told: Sequence[Told] = ()) -> StoredRows:
    """Return a source of 9 Pix of which some have outcomes, with reports."""
    served = serve(9, outcomes=told, setting="published")
    rows: dict[str, Sequence[Record]] = {
        "score_events": served.rows,
        "outcomes": served.outcomes,
        "feedback": reports,
    }
    for name, each in rows.items():
        if each:
            pq.write_table(arrow_table(table(name), each), folder / f"{name}-0.parquet")
    return Files(folder, None).source()


def test_a_report_about_a_return_is_about_the_parties_of_its_pix(tmp_path: Path) -> None:
    report = msgspec.structs.replace(
        row(med("AGREED", 0, pix=RETURN, reason="REFUND_CANCELLED")), history_sequence=10_000
    )
    told = [Told(5, 0, "SETTLED"), Told(5, 0, "RETURNED", return_id=RETURN)]
    found = source(tmp_path, [report], told)
    (*_, last) = found.batches(0)
    assert (found.reports, last.place) == (1, 10_000)
    assert len(last.chunk.facts) > 0


def test_a_report_about_an_unknown_pix_is_left_out(tmp_path: Path) -> None:
    found = source(tmp_path, [msgspec.structs.replace(row(med("AGREED", 0, pix=RETURN)), history_sequence=10_000)])
    assert len(list(found.batches(0))) == 2
    assert found.reports == 0


def test_an_outcome_counts_where_history_counted_it(tmp_path: Path) -> None:
    first, last = source(tmp_path, [], [Told(8, 1, "SETTLED")]).batches(0)
    assert set(first.chunk.before.tolist()) == {6}
    assert first.chunk.facts.weights.any()
    assert last.place == first.rows["history_sequence"].to_pylist()[-1]
