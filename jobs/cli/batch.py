"""The composition of a batch: its rows, engine and report, from the options of `jobs.batch_score`."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import pyarrow.parquet as pq

from jobs.cli import wiring
from shared.adapters.bigquery.query import STAGING
from shared.batch.inputs import Inputs, inputs
from shared.batch.query import period_sql
from shared.batch.run import Engine, LocalEngine
from shared.contract.event import micros
from shared.errors import BundleRefused
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.config import Config
from shared.learning.data import dataset
from shared.learning.data.dataset import Dataset, TrainingSource
from shared.learning.data.label_chance import LabelRates
from shared.learning.errors import BadDataset, NothingToDo
from shared.learning.judging.backtest import BacktestReport, backtest
from shared.learning.lifecycle.pointer import read_pointer
from shared.scoring.bundle import Bundle
from shared.scoring.champion import read_bundle
from shared.scoring.rules import Rules
from shared.settings import Settings

_DAY = dt.timedelta(days=1)


class Order(NamedTuple):
    """A period, or Parquet of features, and the engine: the options of the job without their names.

    `reader` is a data source of Spark that reads the rows; without it Arrow reads Parquet. `shared_out` says that
    the result is at a URI, which all machines reach.
    """

    since: dt.datetime | None
    until: dt.datetime | None
    features: str | None
    engine: str
    master: str | None
    reader: str | None
    reader_options: Mapping[str, str]
    workers: int | None
    shared_out: bool


@contextmanager
def rows_of(order: Order, settings: Settings, features: list[str]) -> Iterator[Inputs]:
    """Give the rows of an order, as long as the block runs; none where Spark reads them itself.

    Raises Misconfigured, Unavailable.
    """
    if order.reader:
        yield Inputs([], ())
    elif order.features:
        yield inputs([order.features], features)
    elif order.engine == "spark" and order.shared_out:
        exports, name = wiring.exports(settings), f"batch-{uuid.uuid4().hex}"
        try:
            exports.stage(_sql(order, settings, features), name)
            yield inputs([f"gs://{settings.data_bucket}/{STAGING}/{name}"], features)
        finally:
            exports.clear(name)
    else:
        with TemporaryDirectory(prefix="batch-score-") as folder:
            files = wiring.exports(settings).export(_sql(order, settings, features), Path(folder))
            yield inputs([str(file) for file in files], features)


@contextmanager
def engine_of(order: Order, settings: Settings, bundle: Bundle, features: list[str]) -> Iterator[Engine]:
    """Give the engine of an order. Raises Misconfigured, Unavailable."""
    if order.engine == "local":
        yield LocalEngine(bundle, order.workers)
        return
    from shared.adapters.spark.engine import SparkEngine, SparkRows, SparkSource
    from shared.adapters.spark.session import session

    with session(order.master) as spark:
        if order.reader is None:
            yield SparkEngine(spark)
            return
        own = {} if order.features else {"query": _sql(order, settings, features), "viewsEnabled": "true"}
        yield SparkRows(spark, SparkSource(order.reader, own | dict(order.reader_options), order.features))


def report_on(order: Order, settings: Settings, bundle: Bundle, rules: Rules, config: Config) -> BacktestReport | str:
    """Return the costs of a version on the labelled rows of an order, or a sentence on why there are none.

    Raises Unavailable, Misconfigured.
    """
    try:
        data = _labelled_file(order, config) if order.features else _labelled_rows(order, settings, config)
        return backtest(data, order.since, order.until, bundle, _champion(settings), rules, config)
    except (BadDataset, NothingToDo) as error:
        return str(error)


def _labelled_rows(order: Order, settings: Settings, config: Config) -> Dataset:
    """Return the examples of the training sample from the period on. Raises NothingToDo if none has matured."""
    assert order.since is not None
    as_of = wiring.now()
    days = (as_of - order.since) / _DAY - settings.maturity_days
    if days <= 0:
        raise NothingToDo(f"no Pix of the period is {settings.maturity_days:g} days old, as a label needs")
    spec = msgspec.structs.replace(config.dataset, window_days=days)
    places = settings.project, settings.dataset, settings.maturity_days
    source = TrainingSource(wiring.exports(settings), wiring.queries(settings), *places)
    return dataset.read(source, as_of, FEATURE_NAMES, spec, None)


def _labelled_file(order: Order, config: Config) -> Dataset:
    """Return the examples of Parquet with verdicts. Raises NothingToDo if it has none, BadDataset."""
    assert order.features is not None
    path = Path(order.features)
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path] if path.exists() else []
    if not files:
        raise NothingToDo("labels are read of files on this machine only")
    if any("verdict" not in pq.read_schema(file).names for file in files):
        raise NothingToDo("the rows have no column verdict")
    return dataset.read_parquet(files, FEATURE_NAMES, micros(wiring.now()), config.dataset, None, LabelRates())


def _champion(settings: Settings) -> Bundle | None:
    """Return the bundle that serves, None if there is none or functions would refuse it."""
    bucket = wiring.blobs(settings)
    try:
        version = read_pointer(bucket).version
        return None if version is None else read_bundle(bucket, version)
    except BundleRefused:
        return None


def _sql(order: Order, settings: Settings, features: list[str]) -> str:
    assert order.since is not None
    until = order.until or wiring.now()
    return period_sql(settings.project, settings.dataset, order.since, until, wiring.now(), features)
