"""A champion that ranks matured frauds worse than its card says makes an automatic run train."""

from __future__ import annotations

import copy
import datetime as dt

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shared.learning.errors import NothingToDo
from shared.learning.lifecycle.performance import MaturedPerformance, matured_performance
from shared.learning.lifecycle.request import AUTO, Request
from shared.learning.lifecycle.retraining import retrain
from shared.learning.lifecycle.trigger import SinceTraining, decide
from shared.scoring.bundle import Bundle
from shared.scoring.champion import read_bundle
from tests.unit.learning.synthetic import AS_OF, DAYS, QUICK, Bench, examples, request, silent

LATER = AS_OF + dt.timedelta(days=DAYS)


@pytest.fixture(scope="module")
def served() -> tuple[Bench, Bundle]:
    """A bench with a champion, and the fit that its gate judged."""
    bench = Bench()
    found = retrain(bench.services(), QUICK, request(), silent)
    assert (found.outcome, found.approved is not None) == ("PROMOTED", True)
    return bench, read_bundle(bench.blobs, found.approved or "")


def newer(rows: int = 6_000, fraud_share: float = 0.03, *, shuffled: bool = False) -> pa.Table:
    """Examples of the days after those that the champion was trained and judged on."""
    table = examples(rows, seed=5, fraud_share=fraud_share)
    at = pc.add(table["initiated_at"], pa.scalar(dt.timedelta(days=DAYS), pa.duration("us")))
    table = table.set_column(table.schema.get_field_index("initiated_at"), "initiated_at", at)
    if not shuffled:
        return table
    verdicts = np.random.default_rng(1).permutation(np.array(table["verdict"].to_pylist()))
    return table.set_column(table.schema.get_field_index("verdict"), "verdict", pa.array(verdicts))


def measured(served: tuple[Bench, Bundle], table: pa.Table, as_of: dt.datetime = LATER) -> MaturedPerformance | None:
    bench, champion = served
    bench.exports.table = table
    services = bench.services()
    return matured_performance(services.source, as_of, champion, services.rules, QUICK)


@pytest.mark.parametrize("fraud_share", [0.03, 0.1])
def test_a_ranking_that_holds_is_no_fall_whatever_the_share_of_frauds(
    served: tuple[Bench, Bundle], fraud_share: float
) -> None:
    found = measured(served, newer(fraud_share=fraud_share))
    assert found is not None
    assert found.version == served[1].version
    assert found.low < found.average_precision < found.high
    assert not found.has_fallen


def test_frauds_that_the_scores_no_longer_tell_are_a_fall(served: tuple[Bench, Bundle]) -> None:
    found = measured(served, newer(shuffled=True))
    assert found is not None
    assert found.has_fallen
    assert f"{found.frauds} frauds), its card has at least" in found.reason()


def test_rows_of_the_card_do_not_count_and_few_frauds_say_nothing(served: tuple[Bench, Bundle]) -> None:
    assert measured(served, examples(), AS_OF + dt.timedelta(days=1)) is None, "all of it was learnt or judged on"
    assert measured(served, newer(rows=60, shuffled=True)) is None
    assert measured(served, newer(), AS_OF - dt.timedelta(days=30)) is None, "before the card"


def test_a_champion_without_figures_is_not_compared(served: tuple[Bench, Bundle]) -> None:
    bench, champion = served
    bare = copy.copy(champion)
    bare.manifest = msgspec.structs.replace(champion.manifest, metrics={})
    assert measured((bench, bare), newer(shuffled=True)) is None


def test_a_fall_trains_by_itself_and_the_ledger_names_it() -> None:
    bench = Bench()
    retrain(bench.services(), QUICK, request(), silent)
    bench.exports.table = newer(shuffled=True)
    bench.forward(dt.timedelta(days=DAYS))
    found = retrain(bench.services(), QUICK, Request(LATER, AUTO, "tests"), silent)
    assert found.trigger == "performance"
    assert bench.rows[-1].trigger == "performance"
    assert "its card has at least" in bench.runs.params[found.run_id or ""]["trigger_reason"]


def test_a_fall_counts_only_some_days_after_a_training_and_is_named() -> None:
    spec = msgspec.structs.replace(QUICK.trigger, days_max=7.0, labels_min=10, frauds_min=10, drift_days_min=3.0)
    fall = SinceTraining(2.9, 0, 0, None, "average precision fell")
    with pytest.raises(NothingToDo, match=r"so does a fall of performance \(average precision fell\)"):
        decide(fall, spec)
    assert decide(fall._replace(days=3.0), spec) == ("performance", "average precision fell")
    assert decide(fall._replace(days=3.0, drift="score moved"), spec).trigger == "drift"
