"""Fit the classifiers of pyspark.ml, and read the trees that they have grown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.adapters.spark.session import unsupported_pandas
from shared.errors import Misconfigured
from shared.learning.errors import ExportFailed, FitFailed
from shared.learning.specs.search import AllRowsCandidate
from shared.learning.training.engine import Grown
from shared.learning.training.export import PARITY
from shared.learning.training.families.grown import (
    GrownTree,
    NodeRows,
    boosted,
    forest,
    renumbered,
    used_features,
)
from shared.learning.training.families.inputs import MISSING
from shared.learning.training.train import raw_scores

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CHECKED = 1_000
"""Rows on which a model of ours has to score as the one that it is made of."""
_LOG_ODDS = 2
"""A sum of trees in log-odds. Source: Friedman, Greedy Function Approximation, Annals of Statistics, 2001, 4.5."""


def fitted(
    session: SparkSession, candidate: AllRowsCandidate, rows: DataFrame, inputs: int, seed: int, place: str
) -> Grown:
    """Return the model of a candidate, fitted to rows with `features`, `label` and `weight`.

    `place` is a new folder that Spark reaches. Raises FitFailed, ExportFailed, Misconfigured.
    """
    with unsupported_pandas():
        from pyspark.ml.functions import array_to_vector, vector_to_array
        from pyspark.sql.functions import col

    vectors = rows.select(array_to_vector("features").alias("features"), "label", "weight")
    model = _fit(estimator(candidate, seed), vectors)
    model.save(place)
    trees, rows_of = zip(*nodes_of(session, place), strict=True)
    columns = tested(candidate, trees)
    own = [renumbered(tree, columns) for tree in trees]
    found = (
        boosted(own, [_LOG_ODDS * weight for weight in model.treeWeights], len(columns), seed)
        if candidate.family == "gradient_boosted_trees"
        else forest(own, rows_of, len(columns), seed)
    )
    scored = model.transform(vectors.limit(CHECKED))
    share = vector_to_array("probability")[1].alias("score")
    with unsupported_pandas():
        checked = scored.select(vector_to_array(col("features")).alias("features"), share).toArrow()
    require_same(found, columns, feature_rows(checked, inputs), checked["score"].to_numpy())
    return Grown(found, columns)


def estimator(candidate: AllRowsCandidate, seed: int) -> Any:
    """Return the unfitted classifier. Raises Misconfigured for a parameter that it does not have."""
    with unsupported_pandas():
        from pyspark.ml.classification import GBTClassifier, RandomForestClassifier

    kind = GBTClassifier if candidate.family == "gradient_boosted_trees" else RandomForestClassifier
    try:
        return kind(weightCol="weight", **{"seed": seed, **candidate.params})
    except TypeError as error:
        raise Misconfigured(f"{candidate.name}: {error}") from error


def _fit(unfitted: Any, rows: DataFrame) -> Any:
    """Return the fitted model. Raises FitFailed if Spark refuses a parameter or the rows."""
    from pyspark.errors import IllegalArgumentException

    try:
        return unfitted.fit(rows)
    except IllegalArgumentException as error:
        raise FitFailed(str(error).partition("\n")[0]) from error


def nodes_of(session: SparkSession, place: str) -> list[tuple[GrownTree, NodeRows]]:
    """Return the trees of a saved model with their rows, in the order of the model.

    Format: org.apache.spark.ml.tree.EnsembleModelReadWrite; numbers of nodes are those of a walk in preorder.
    """
    stored = session.read.parquet(f"{place}/data").selectExpr("treeID", "nodeData.*")
    flat = stored.selectExpr(
        *("treeID", "id", "leftChild", "rightChild", "prediction", "impurityStats", "rawCount"),
        "split.featureIndex AS feature",
        "get(split.leftCategoriesOrThreshold, 0) AS threshold",
    )
    with unsupported_pandas():
        table: pa.Table = flat.orderBy("treeID", "id").toArrow()
    sizes = np.bincount(table["treeID"].to_numpy())
    starts = np.cumsum(sizes) - sizes
    return [_tree(table.slice(int(start), int(size))) for start, size in zip(starts, sizes, strict=True)]


def _tree(nodes: pa.Table) -> tuple[GrownTree, NodeRows]:
    def numbers(name: str) -> Any:
        return nodes[name].to_numpy(zero_copy_only=False)

    threshold = numbers("threshold").astype(np.float64)
    tree = GrownTree(
        numbers("leftChild"),
        numbers("rightChild"),
        numbers("feature"),
        threshold,
        threshold >= MISSING,
        numbers("prediction"),
    )
    stats = np.array(nodes["impurityStats"].to_pylist(), dtype=np.float64)
    return tree, NodeRows(stats[:, :2], numbers("rawCount"))


def tested(candidate: AllRowsCandidate, trees: Sequence[GrownTree]) -> NDArray[np.intp]:
    """Return the indexes of the features that trees test, ascending. Raises FitFailed if there are none."""
    columns = used_features(trees)
    if not len(columns):
        raise FitFailed(f"{candidate.name} has no split")
    return columns


def feature_rows(checked: pa.Table, inputs: int) -> NDArray[np.float32]:
    """Return the column `features` as [n, inputs], with MISSING in place of missing values."""
    flat = checked["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.reshape(-1, inputs), dtype=np.float32)


def require_same(
    model: Any, columns: NDArray[np.intp], features: NDArray[np.float32], scores: NDArray[np.floating[Any]]
) -> None:
    """Raise ExportFailed unless a model scores `feature_rows` as the one that it is made of, [n]."""
    own = features[:, columns]
    own[own == np.float32(MISSING)] = np.nan
    worst = float(np.max(np.abs(raw_scores(model, own) - scores)))
    if not worst <= PARITY:
        raise ExportFailed(f"a model and ours of its trees differ by {worst:.2g}, more than {PARITY:.0e}")
