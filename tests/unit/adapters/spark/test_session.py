"""A session's workers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from shared.adapters.spark.tasks import answered, answers, numbers
from tests.unit.adapters.spark.conftest import needs_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = needs_spark


class _Warn:
    """Answer with the warnings that a worker shows: by pyspark of pandas, and another one."""

    def __call__(self, parts: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark.sql.pandas.utils import require_minimum_pandas_version

        for _ in parts:
            with warnings.catch_warnings(record=True) as shown:
                require_minimum_pandas_version()
                warnings.warn("of a table", FutureWarning, stacklevel=1)
            yield from answers([(str(each.message),) for each in shown])


def test_workers_show_every_warning_but_the_one_of_pandas(spark: SparkSession) -> None:
    found = answered(spark, numbers(spark, 1, 1), _Warn(), 1)
    assert [msgspec.json.decode(each) for each in found] == [["of a table"]]
