"""The count of newly known labels, on the rows that the views are tested with."""

import datetime as dt
from collections.abc import Callable

import pyarrow as pa
import pytest

from shared.adapters.bigquery.query import BigQueryQueries
from shared.adapters.memory.learning import MemoryExports
from shared.learning.data.dataset import TrainingSource
from shared.learning.data.training_sample import SampleSql, extend
from shared.learning.lifecycle.trigger import new_labels
from tests.contract.local_servers import PROJECT
from tests.contract.test_views import AS_OF, MATURITY_DAYS, REPORTED, SCORED, World, reported, scored, world

__all__ = ["world"]


@pytest.fixture(scope="module")
def known(world: World) -> Callable[[float], tuple[int, int]]:
    """Count the labels known since a number of days ago; two of three frauds are confirmed 30 and 5 days ago."""
    for id_, confirmed in (("fraud-a", 30), ("fraud-b", 5)):
        world.append("score_events", SCORED, [scored(id_, 100)])
        world.append("feedback", REPORTED, [reported(id_, confirmed, "FRAUD")])
    queries = BigQueryQueries(world.client)
    source = TrainingSource(MemoryExports(pa.table({})), queries, PROJECT, "pix", MATURITY_DAYS)
    extend(queries, SampleSql(PROJECT, "pix", MATURITY_DAYS, AS_OF), rows_a_day=1_000)
    return lambda days: new_labels(source, AS_OF - dt.timedelta(days=days), AS_OF)


def test_a_label_counts_once_it_is_known_and_its_pix_has_matured(
    known: Callable[[float], tuple[int, int]],
) -> None:
    assert known(200) == (16, 3)
    assert known(13.5) == (16, 3)
    assert known(12.5) == (1, 1)
    assert known(4) == (0, 0)
