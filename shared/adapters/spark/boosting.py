"""Fit XGBoost on the machines of Spark.

It takes missing values by itself: each split has a side for them, which it has learnt.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.adapters.spark.forests import CHECKED, feature_rows, require_same, tested
from shared.adapters.spark.session import unsupported_pandas
from shared.adapters.xgboost.trees import trees_of
from shared.errors import Misconfigured
from shared.learning.errors import FitFailed
from shared.learning.specs.search import AllRowsCandidate
from shared.learning.training.engine import Grown
from shared.learning.training.families.grown import boosted, renumbered
from shared.learning.training.families.inputs import MISSING

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import DataFrame, SparkSession

_ABSENT = "xgboost is not installed: `make spark` installs it on Linux with x86-64"
_DYNAMIC = "spark.dynamicAllocation.enabled"
_OURS: Mapping[str, Any] = {
    "booster": "gbtree",
    "device": "cpu",
    "label_col": "label",
    "missing": MISSING,
    "verbose": False,
    "verbosity": 0,
    "weight_col": "weight",
}
"""Parameters on which the reading of the trees and the rows depend, and those that keep the output of tasks short."""
_ERROR = re.compile(r"XGBoostError: (?:\[[\d:]+\] \S+: )?([^\n]*)")
"""An error of XGBoost, without time and place, in the text by which Spark tells that a task has failed."""


def fitted(session: SparkSession, candidate: AllRowsCandidate, rows: DataFrame, inputs: int, seed: int) -> Grown:
    """Return the model of a candidate, fitted to rows with `features`, `label` and `weight`.

    Raises FitFailed, ExportFailed, Misconfigured.
    """
    with unsupported_pandas():
        booster = _fit(estimator(session, candidate, seed), rows).get_booster()
        checked = rows.select("features").limit(CHECKED).toArrow()
    start, trees = trees_of(booster.save_raw("json"))
    columns = tested(candidate, trees)
    own = [renumbered(tree, columns) for tree in trees]
    found = boosted(own, [1.0] * len(own), len(columns), seed, start)
    features = feature_rows(checked, inputs)
    require_same(found, columns, features, booster.inplace_predict(features, missing=MISSING))
    return Grown(found, columns)


def estimator(session: SparkSession, candidate: AllRowsCandidate, seed: int) -> Any:
    """Return the unfitted classifier, of one worker for each task that Spark runs at a time.

    Raises Misconfigured for a parameter that it does not have or that is not the user's, and for a session on which
    it cannot run.
    """
    try:
        with unsupported_pandas():
            from xgboost.spark import SparkXGBClassifier
    except ImportError as error:
        raise Misconfigured(f"{candidate.name}: {_ABSENT}") from error
    context = session.sparkContext
    require_side_by_side(context.getConf())
    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)
    known = SparkXGBClassifier()
    if unknown := [name for name in candidate.params if not known.hasParam(name) or name in _OURS]:
        raise Misconfigured(f"{candidate.name}: XGBoost takes no parameter {unknown[0]} here")
    params = {"random_state": seed, "num_workers": context.defaultParallelism, **candidate.params, **_OURS}
    return SparkXGBClassifier(**params)


def require_side_by_side(conf: SparkConf) -> None:
    """Raise Misconfigured unless Spark starts all tasks of a stage at once, as XGBoost's workers need each other."""
    if conf.get(_DYNAMIC) == "true" and not str(conf.get("spark.master")).startswith("local"):
        raise Misconfigured(f"XGBoost's workers need all of their machines at once: set {_DYNAMIC}=false")


def _fit(unfitted: Any, rows: DataFrame) -> Any:
    """Return the fitted model. Raises FitFailed if XGBoost refuses a parameter or the rows."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        return unfitted.fit(rows)
    except ValueError as error:
        raise FitFailed(str(error).partition("\n")[0]) from error
    except (PySparkException, Py4JError) as error:
        if found := _ERROR.search(str(error)):
            raise FitFailed(f"XGBoost: {found[1]}") from error
        raise
