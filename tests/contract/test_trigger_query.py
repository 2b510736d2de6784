"""The count of newly known labels, on the rows that the views are tested with."""

import datetime as dt

import pytest

from shared.adapters.bigquery_query import BigQueryQueries
from shared.adapters.memory_learning import MemoryLedger
from shared.learning.trigger import Sources, newly_known
from tests.contract.local_servers import PROJECT
from tests.contract.test_views import AS_OF, MATURITY_DAYS, World, world

__all__ = ["world"]


@pytest.mark.parametrize(
    ("days_ago", "known"),
    [
        (200, (6, 1)),  # all examples: what was confirmed and what matured
        (50, (5, 1)),  # the report that was revoked 60 days ago is known already
        (40, (4, 0)),  # the fraud was confirmed 45 days ago
        (0, (0, 0)),
    ],
)
def test_a_label_counts_from_when_it_was_confirmed_or_matured(
    world: World,
    days_ago: float,
    known: tuple[int, int],
) -> None:
    sources = Sources(MemoryLedger(), BigQueryQueries(world.client), PROJECT, "pix", MATURITY_DAYS)
    assert newly_known(sources, AS_OF - dt.timedelta(days=days_ago), AS_OF) == known
