"""A session's workers."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
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


def test_an_old_java_is_told_by_the_version_that_spark_needs(tmp_path: Path) -> None:
    (tmp_path / "java").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "java").chmod(0o755)
    code = "from shared.adapters.spark.session import session\nwith session(None): pass"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "JAVA_HOME": ""}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "Unavailable: Spark does not start (it needs Java 17 or newer)" in found.stderr
