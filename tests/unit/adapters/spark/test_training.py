"""Spark takes the same sample and finds the same leaderboard as one machine, and its own trees serve as ours."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from shared.adapters.memory.learning import MemoryExports
from shared.adapters.spark import boosting
from shared.adapters.spark.training import SparkTraining
from shared.contract.event import micros
from shared.contract.rows import FEATURE_PREFIX
from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES, FEATURES
from shared.learning.data.dataset import Dataset, read_parquet, row_counts, usable_rows
from shared.learning.data.label_chance import LabelRates
from shared.learning.data.quality import inspect
from shared.learning.data.row_counts import RowCounts
from shared.learning.data.training_query import LOT, TrainingQuery
from shared.learning.data.training_sample import MILLION
from shared.learning.errors import BadDataset, CannotContinue, FitFailed
from shared.learning.lifecycle.retraining import retrain
from shared.learning.specs.search import AllRowsCandidate, CandidateSpec
from shared.learning.training.amounts import AmountWeights
from shared.learning.training.engine import AllRows
from shared.learning.training.evaluation import evaluate_here
from shared.learning.training.export import onnx_bytes, onnx_scores, require_parity
from shared.learning.training.families import FAMILIES, family_of
from shared.learning.training.families.grown import GROWN_AS
from shared.learning.training.model_file import model_bytes, read_model
from shared.learning.training.search import search
from shared.learning.training.train import raw_scores
from shared.ports.tables import RowExports
from tests.unit.adapters.spark.conftest import needs_spark, needs_xgboost
from tests.unit.learning.rows import searching, training_set
from tests.unit.learning.synthetic import AS_OF, QUICK, Bench, examples, request, silent

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = needs_spark
NAMES = FEATURE_NAMES[:16]
BOOSTED = AllRowsCandidate("spark-boosting", "gradient_boosted_trees", {"maxIter": 4, "maxDepth": 3, "stepSize": 0.3})
XGBOOST = AllRowsCandidate("xgboost", "xgboost", {"n_estimators": 8, "max_depth": 3, "learning_rate": 0.3})
FOREST = AllRowsCandidate("spark-forest", "random_forest", {"numTrees": 4, "maxDepth": 5})
LATEST = micros(AS_OF)
RATE = 400_000
"""Sampling rate of the legitimate rows that the tables have, per million."""


def all_rows(rows: int = 4_000) -> pa.Table:
    """Return examples with a number below a million for each Pix, of which some stand for several."""
    table = examples(rows)
    rng = np.random.default_rng(5)
    rate = np.where(rng.random(rows) < 0.5, 1.0, 0.5)
    place = table.schema.get_field_index("sampling_rate")
    lots = rng.integers(0, MILLION, rows)
    return table.set_column(place, "sampling_rate", pa.array(rate)).append_column(LOT, pa.array(lots))


def training(spark: SparkSession, folder: Path) -> SparkTraining:
    def export(exports: RowExports, sql: str) -> Sequence[str]:
        (folder / "rows").mkdir()
        return [str(file) for file in exports.export(sql, folder / "rows")]

    return SparkTraining(spark, export, str(folder))


class Sampled(NamedTuple):
    """An engine that has all rows, and the sample that it took of them."""

    engine: SparkTraining
    data: Dataset


@pytest.fixture(scope="module")
def sampled(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Sampled:
    folder = tmp_path_factory.mktemp("sampled")
    engine, query = training(spark, tmp_path_factory.mktemp("work")), TrainingQuery("p", "pix", 0, AS_OF)
    taken = engine.sample(MemoryExports(all_rows(), 3), query, NAMES, RATE, folder)
    return Sampled(engine, read_parquet(taken.files, NAMES, LATEST, QUICK.dataset, None, LabelRates()))


def by_hand(table: pa.Table, file: Path) -> Dataset:
    """Return the sample by the definition: all frauds and the control group, and the others below their rate."""
    kept = (table["verdict"].to_numpy() == "FRAUD") | table["policy_decision"].is_valid().to_numpy()
    rate = np.where(kept, 1.0, np.minimum(table["sampling_rate"].to_numpy(), RATE / MILLION))
    taken = kept | (table[LOT].to_numpy() < np.round(rate * MILLION))
    place = table.schema.get_field_index("sampling_rate")
    pq.write_table(table.set_column(place, "sampling_rate", pa.array(rate)).filter(pa.array(taken)), file)
    return read_parquet([file], NAMES, LATEST, QUICK.dataset, None, LabelRates())


def test_the_sample_is_the_same_row_for_row(sampled: Sampled, tmp_path: Path) -> None:
    expected = by_hand(all_rows(), tmp_path / "expected.parquet")
    assert sampled.data.content_hash == expected.content_hash
    assert 1_000 < len(expected) < 3_000
    assert set(expected.weight) == {1.0, 2.5}


def spoilt(table: pa.Table, share: float) -> pa.Table:
    """Return examples of which some that the sample leaves out are bad: a share by amount, three otherwise."""
    legitimate = (table["verdict"].to_numpy() != "FRAUD") & table["policy_decision"].is_null().to_numpy()
    out = np.flatnonzero(legitimate & (table[LOT].to_numpy() > RATE))
    amounts = table["amount"].to_numpy().copy()
    amounts[out[: round(share * len(table))]] = -1.0
    flag = FEATURE_PREFIX + next(each.name for each in FEATURES[:16] if each.unit == "flag")
    values = table[flag].to_numpy().copy()
    values[out[-2:]] = -np.inf, -4.0
    for name, changed in (("amount", amounts), (flag, values)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(changed))
    return pa.concat_tables([table, table.slice(int(out[-3]), 1)])


def counted(spark: SparkSession, rows: pa.Table, folder: Path) -> RowCounts:
    """Return the counts of all rows that Spark made, after a comparison with those of one machine."""
    for name in ("work", "sample"):
        (folder / name).mkdir()
    query = TrainingQuery("p", "pix", 0, AS_OF)
    taken = training(spark, folder / "work").sample(MemoryExports(rows, 3), query, NAMES, RATE, folder / "sample")
    read_parquet(taken.files, NAMES, LATEST, QUICK.dataset, None, LabelRates())
    pq.write_table(rows, folder / "rows")
    here = row_counts(*usable_rows([folder / "rows"], NAMES, LATEST), NAMES)
    assert taken.every is not None
    assert taken.every.legitimate == pytest.approx(here.legitimate)
    assert msgspec.structs.replace(taken.every, legitimate=here.legitimate) == here
    return taken.every


def test_all_rows_are_counted_as_one_machine_counts_them(spark: SparkSession, tmp_path: Path) -> None:
    found = counted(spark, spoilt(all_rows(), 0.005), tmp_path)
    assert {each.name: each.rows for each in found.defects if each.rows} == {
        "amounts": 20,
        "duplicates": 2,
        "ranges": 2,
    }
    assert inspect(found, QUICK.dataset, None).rows == 4_001 - 24


def test_bad_rows_that_the_sample_leaves_out_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    found = counted(spark, spoilt(all_rows(), 0.02), tmp_path)
    with pytest.raises(BadDataset, match="amounts: 80 rows have an amount"):
        inspect(found, QUICK.dataset, None)


def test_the_leaderboard_is_the_same(spark: SparkSession, tmp_path: Path) -> None:
    data, period, settings = training_set(), slice(0, 1_600), searching("bayesian", 5)
    spec = msgspec.structs.replace(settings, search=msgspec.structs.replace(settings.search, at_once=3))
    here, there = (
        [
            msgspec.structs.replace(trial, seconds=0.0)
            for trial in search(data, period, spec, lambda _: None, lambda *_: None, evaluator)
        ]
        for evaluator in (evaluate_here, training(spark, tmp_path).evaluator)
    )
    assert here == there


def rows_for(data: Dataset) -> AllRows:
    since, until = (int(data.initiated_at[place]) for place in (0, -200))
    return AllRows(data.names, since, until, LabelRates(), 20.0, AmountWeights(power=0.0, mean=1.0))


@pytest.mark.parametrize(
    "candidate", [BOOSTED, FOREST, pytest.param(XGBOOST, marks=needs_xgboost)], ids=lambda one: one.family
)
def test_trees_of_all_rows_are_a_model_of_ours(sampled: Sampled, candidate: AllRowsCandidate) -> None:
    data = sampled.data
    model, columns = sampled.engine.grow(candidate, rows_for(data), 0)
    features = np.ascontiguousarray(data.features[:, columns])
    assert np.isnan(features).any()
    scores = raw_scores(model, features)
    assert scores[data.fraud].mean() > 2 * scores[~data.fraud].mean()
    assert require_parity(model, features, onnx_scores(onnx_bytes(model, len(columns)), features)) < 1e-6
    again = read_model(model_bytes(model))
    assert family_of(again) == GROWN_AS[candidate.family]
    np.testing.assert_array_equal(raw_scores(again, features), scores)
    more = FAMILIES[GROWN_AS[candidate.family]].continue_training
    if candidate is FOREST:
        assert len(more(model, features, data.fraud, None, 2)[-1].estimators_) == 6
    else:
        with pytest.raises(CannotContinue, match="Spark"):
            more(model, features, data.fraud, None, 2)


def test_all_rows_weigh_by_their_labels_and_frauds_by_their_amounts_too(
    spark: SparkSession, sampled: Sampled, tmp_path: Path
) -> None:
    for name in ("work", "sample"):
        (tmp_path / name).mkdir()
    engine, data = training(spark, tmp_path / "work"), sampled.data
    engine.sample(MemoryExports(all_rows(), 3), TrainingQuery("p", "pix", 0, AS_OF), NAMES, RATE, tmp_path / "sample")
    folder = Path(engine.weigh(rows_for(data)._replace(amounts=AmountWeights(power=1.0, mean=2.0))))
    weighed = pq.read_table(folder)
    fraud = weighed["label"].to_numpy() == 1
    weight = np.sort(weighed["weight"].to_numpy()[fraud])
    by_amount = data.label_weight[data.fraud] * np.maximum(data.amount[data.fraud], 1.0) / 2.0
    np.testing.assert_allclose(weight, np.sort(by_amount))
    assert weighed["weight"].to_numpy()[~fraud].max() <= 20.0


def test_a_parameter_that_spark_lacks_fails_before_a_fit_and_one_that_it_refuses_fails_a_fit(
    spark: SparkSession, sampled: Sampled
) -> None:
    with pytest.raises(Misconfigured, match="leaves"):
        SparkTraining(spark, lambda *_: [], "", [msgspec.structs.replace(FOREST, params={"leaves": 3})])
    with pytest.raises(FitFailed, match="maxDepth"):
        sampled.engine.grow(msgspec.structs.replace(FOREST, params={"maxDepth": 31}), rows_for(sampled.data), 0)


@needs_xgboost
def test_weights_of_rows_and_the_seed_are_those_of_xgboost(sampled: Sampled) -> None:
    rows, drawn = rows_for(sampled.data), msgspec.structs.replace(XGBOOST, params=XGBOOST.params | {"subsample": 0.5})
    first, again, other = (sampled.engine.grow(drawn, rows, seed) for seed in (1, 1, 2))
    assert model_bytes(first.model) == model_bytes(again.model) != model_bytes(other.model)
    model, _ = sampled.engine.grow(XGBOOST, rows, 0)
    folder = Path(sampled.engine.weigh(rows))
    weighed = pq.read_table(folder).filter((pc.field("at") >= rows.since) & (pc.field("at") <= rows.until))
    label, weight = weighed["label"].to_numpy(), weighed["weight"].to_numpy()
    assert len(set(weight)) > 1
    share = float(np.average(label, weights=weight))
    assert model._baseline_prediction[0, 0] == pytest.approx(np.log(share / (1 - share)), abs=0.05)


@needs_xgboost
def test_a_parameter_that_xgboost_lacks_fails_before_a_fit_and_one_that_it_refuses_fails_a_fit(
    spark: SparkSession, sampled: Sampled
) -> None:
    for name in ("leaves", "booster"):
        params = XGBOOST.params | {name: "dart"}
        with pytest.raises(Misconfigured, match=f"XGBoost takes no parameter {name}"):
            SparkTraining(spark, lambda *_: [], "", [msgspec.structs.replace(XGBOOST, params=params)])
    for params, reason in (({"tree_method": "exact"}, "exact"), ({"subsample": 2.0}, "subsample")):
        refused = msgspec.structs.replace(XGBOOST, params=XGBOOST.params | params)
        with pytest.raises(FitFailed, match=reason):
            sampled.engine.grow(refused, rows_for(sampled.data), 0)


def test_without_xgboost_its_candidate_is_refused_and_others_are_not(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xgboost.spark", None)
    SparkTraining(spark, lambda *_: [], "", [BOOSTED, FOREST])
    with pytest.raises(Misconfigured, match="xgboost: xgboost is not installed: `make spark`"):
        SparkTraining(spark, lambda *_: [], "", [BOOSTED, XGBOOST])


def test_xgboost_is_refused_where_spark_may_not_start_all_tasks_at_once() -> None:
    from pyspark import SparkConf

    def on(master: str, dynamic: str) -> None:
        values = {"spark.master": master, "spark.dynamicAllocation.enabled": dynamic}
        boosting.require_side_by_side(SparkConf(loadDefaults=False).setAll(list(values.items())))

    on("spark://master:7077", "false")
    on("local[2]", "true")  # has no effect there
    with pytest.raises(Misconfigured, match=r"set spark\.dynamicAllocation\.enabled=false"):
        on("spark://master:7077", "true")


@pytest.mark.parametrize(
    "candidate", [BOOSTED, pytest.param(XGBOOST, marks=needs_xgboost)], ids=lambda one: one.family
)
def test_the_gate_judges_a_model_of_all_rows(
    spark: SparkSession, tmp_path: Path, candidate: AllRowsCandidate
) -> None:
    bench = Bench(all_rows(6_000))
    services = dataclasses.replace(bench.services(), engine=training(spark, tmp_path))
    hopeless = CandidateSpec("stump", "decision_tree", {"max_depth": 1, "min_samples_leaf": 500})
    once = msgspec.structs.replace(QUICK.search, trials=1)
    settings = msgspec.structs.replace(QUICK, candidates=[hopeless], search=once, all_rows=[candidate])
    outcome = retrain(services, settings, request("never"), silent)
    assert (outcome.outcome, outcome.candidate) == ("PUBLISHED", candidate.name)
    [report] = filter(None, bench.runs.reports.values())
    assert msgspec.json.decode(report.documents["quality.json"])["all_rows"]["rows"] == 6_000
    assert f"models/{outcome.version}/reasons.onnx" in bench.blobs.objects
